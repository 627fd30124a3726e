"""Recognizes pictures among the JSON values of an event and says how large they are."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

__all__ = ["picture_note"]

_DATA_URL = re.compile(r"data:image/([\w.+-]+)[^,]*;base64,", re.IGNORECASE)
_SHORTEST = 64  # characters; no picture is smaller
_FEWEST_PIXELS = 8  # to a side; below, an array is more likely a table
_MAGIC = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF87a": "GIF", b"GIF89a": "GIF", b"BM": "BMP"}
# The frame headers of JPEG (ITU-T T.81, table B.1): SOF0 to SOF15 without DHT, JPG and DAC, which lie among them.
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def picture_note(value: Any) -> str | None:
    """What picture a value is, such as ``PNG picture, 640 x 480, 12,345 bytes``; None if it is none.

    A picture is a file in base64, with or without ``data:image/…;base64,`` before it, or an array of rows of pixels,
    each with 3 or 4 whole numbers from 0 to 255. Width comes before height.
    """
    if isinstance(value, str):
        return _file_note(value)
    if isinstance(value, list):
        return _array_note(value)
    return None


def _file_note(text: str) -> str | None:
    url = _DATA_URL.match(text)
    if url is None and (len(text) < _SHORTEST or any(character.isspace() for character in text[:_SHORTEST])):
        return None
    try:
        data = base64.b64decode(text[url.end() if url else 0 :], validate=url is None)
    except (binascii.Error, ValueError):
        return f"{url[1].upper()} picture, damaged" if url else None
    kind = next((name for magic, name in _MAGIC.items() if data.startswith(magic)), "")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "WebP"
    if kind in ("", "BMP") and url is None:  # two letters of magic are too few to be sure
        return None
    size = _size(data, kind)
    measured = f", {size[0]:,} x {size[1]:,}" if size else ""
    return f"{kind or (url[1].upper() if url else '')} picture{measured}, {len(data):,} bytes"


def _size(data: bytes, kind: str) -> tuple[int, int] | None:
    """Width and height in pixels, where the file says them in a place that is easy to find."""
    if kind == "PNG" and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if kind == "GIF" and len(data) >= 10:
        return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    return _jpeg_size(data) if kind == "JPEG" else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in _JPEG_FRAMES:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _array_note(rows: list[Any]) -> str | None:
    if len(rows) < _FEWEST_PIXELS or not isinstance(rows[0], list) or len(rows[0]) < _FEWEST_PIXELS:
        return None
    width = len(rows[0])
    first = rows[0][0]
    if not isinstance(first, list) or len(first) not in (3, 4):
        return None
    for row in rows:
        if not isinstance(row, list) or len(row) != width:
            return None
        for pixel in row:
            if not isinstance(pixel, list) or len(pixel) != len(first) or not all(map(_is_byte, pixel)):
                return None
    return f"picture, {width:,} x {len(rows):,}, as an array of {'RGB' if len(first) == 3 else 'RGBA'} pixels"


def _is_byte(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255
