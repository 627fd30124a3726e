"""Large numpy arrays in JSON texts: written apart, as fast as that goes, and put into their places."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

__all__ = ["Spliced"]

_FEWEST = 64  # items of an array for which this is worth it
_LARGEST_ITEM = 8  # bytes; no Python number holds more
_STAND_IN = "$openenv array "


class Spliced:
    """Arrays that stand outside of a text while that is written, each with a text in its place."""

    def __init__(self) -> None:
        self._arrays: list[bytes] = []

    def stand_in(self, value: Any) -> str | None:
        """What is to be written instead of a value; ``None``: it is no such array, or has items that JSON lacks.

        Only arrays of finite numbers and truth values are, and only where orjson is installed. What it writes is, but
        for the time it takes, what any other encoder makes of ``value.tolist()``.
        """
        text = _array_json(value)
        if text is None:
            return None
        self._arrays.append(text)
        return f"{_STAND_IN}{len(self._arrays) - 1}"

    def pieces(self, text: bytes) -> list[bytes] | None:
        """The text in pieces, every second of them an array; ``None``: a text of the author's looks like a stand-in."""
        if not self._arrays:
            return [text]
        pieces = []
        for number, array in enumerate(self._arrays):
            before, found, text = text.partition(f'"{_STAND_IN}{number}"'.encode())
            if not found:
                return None
            pieces += [before, array]
        pieces.append(text)
        return None if any(_STAND_IN.encode() in piece for piece in pieces[::2]) else pieces


def _array_json(value: Any) -> bytes | None:
    cls = type(value)
    if cls.__name__ != "ndarray" or cls.__module__ != "numpy" or value.size < _FEWEST or value.ndim == 0:
        return None
    dtype = value.dtype
    if dtype.kind not in "biuf" or dtype.itemsize > _LARGEST_ITEM or not dtype.isnative:
        return None
    orjson, numpy = _orjson(), sys.modules["numpy"]
    if orjson is None:
        return None
    if dtype.kind == "f":
        value = value.astype(numpy.float64, copy=False)  # as tolist() has it, with all its digits
        if not numpy.isfinite(value).all():
            return None
    text: bytes = orjson.dumps(numpy.ascontiguousarray(value), option=orjson.OPT_SERIALIZE_NUMPY)
    return text


@cache
def _orjson() -> Any:
    try:
        import orjson
    except ImportError:
        return None
    return orjson
