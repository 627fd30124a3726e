"""A field of bytes that is base64 in JSON, and raw bytes wherever bytes can travel."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

__all__ = ["Base64Data"]

_STANDARD = str.maketrans("-_", "+/")  # from the alphabet for URLs


def _read(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value.translate(_STANDARD), validate=True)
    except ValueError:  # binascii's own error, and text that is not ASCII
        raise ValueError("this must be bytes, or text in base64") from None


def _written(data: bytes) -> str:
    return base64.b64encode(data).decode()


Base64Data = Annotated[
    bytes,
    BeforeValidator(_read),
    PlainSerializer(_written, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "base64", "contentEncoding": "base64", "x-openenv": {"kind": "bytes"}}),
]
"""Bytes. Text given instead is base64, of either alphabet: a plain ``bytes`` field would take it for UTF-8."""
