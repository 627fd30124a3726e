"""Values of Python as msgpack with two extensions, and back."""

from __future__ import annotations

from typing import Any

import msgspec

from openenv.types.forms import Form
from openenv.types.kinds import Malformed, value_of
from openenv.types.ndarrays import ArrayParts

__all__ = ["ARRAY", "BINARY_FORM", "OTHER", "BinaryForm", "extension"]

ARRAY, OTHER = 1, 2
"""Codes of the extensions: an array, whose body is ``[dtype, shape]`` and then its items; any other kind."""

_SHORTS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}  # heads of unsigned integers, and how many bytes follow
_TEXTS = {0xD9: 1, 0xDA: 2, 0xDB: 4}  # heads of texts, and how many bytes their length takes
_ARRAYS = {0xDC: 2, 0xDD: 4}
_DEEPEST = 64


class BinaryForm(Form):
    """Values as what msgspec writes in msgpack."""

    def kind(self, kind: str, fields: dict[str, Any]) -> Any:
        return msgspec.msgpack.Ext(OTHER, msgspec.msgpack.encode([kind, fields]))

    def array(self, parts: ArrayParts) -> Any:
        head = msgspec.msgpack.encode([parts.dtype, parts.shape])
        return msgspec.msgpack.Ext(ARRAY, b"".join((head, parts.data or b"")))

    def binary(self, data: bytes) -> Any:
        return data

    def not_finite(self, number: float) -> Any:
        return number


BINARY_FORM = BinaryForm()
"""``BINARY_FORM.write(value)`` is the value as msgspec writes it."""


def extension(code: int, body: memoryview) -> Any:
    """The value of an extension; one that is not known stays an ``Ext``.

    Raises:
        Malformed: The body does not fit.
        RecursionError: It is nested too deeply.
    """
    if code == ARRAY:
        try:
            end = _end(body, 0, _DEEPEST)
            dtype, shape = msgspec.msgpack.decode(body[:end])
        except (IndexError, TypeError, ValueError, msgspec.MsgspecError) as error:
            raise Malformed(f"an array has to begin with [dtype, shape]: {error}") from None
        return value_of("ndarray", {"dtype": dtype, "shape": shape, "data": body[end:]})
    if code == OTHER:
        try:
            kind, fields = msgspec.msgpack.decode(body, ext_hook=extension)
        except Malformed:
            raise
        except (TypeError, ValueError, msgspec.MsgspecError) as error:
            raise Malformed(f"a value beyond JSON has to be [kind, fields]: {error}") from None
        if not isinstance(kind, str) or not isinstance(fields, dict):
            raise Malformed("a value beyond JSON has to be [kind, fields]")
        return value_of(kind, fields)
    return msgspec.msgpack.Ext(code, bytes(body))


def _end(body: memoryview, at: int, depth: int) -> int:
    """Where the msgpack value that begins at ``at`` ends, if it is made of arrays, texts and integers from 0."""
    head = body[at]
    at += 1
    if head <= 0x7F:
        return at
    if 0xA0 <= head <= 0xBF:
        return at + (head & 0x1F)
    if head in _SHORTS:
        return at + _SHORTS[head]
    if head in _TEXTS:
        width = _TEXTS[head]
        return at + width + int.from_bytes(body[at : at + width])
    if 0x90 <= head <= 0x9F:
        count = head & 0x0F
    elif head in _ARRAYS:
        count = int.from_bytes(body[at : at + _ARRAYS[head]])
        at += _ARRAYS[head]
    else:
        raise ValueError(f"unexpected byte {head:#x}")
    if depth == 0:
        raise ValueError("nested too deeply")
    for _ in range(count):
        at = _end(body, at, depth - 1)
    return at
