"""Short notes in place of what nobody reads: pictures, content blocks, bytes and arrays in events."""

from __future__ import annotations

import base64
import re
from typing import Any

from openenv.types.media import image_size, mime_of_data

__all__ = ["note_of", "picture_note"]

_DATA_URL = re.compile(r"data:image/([\w.+-]+)[^,]*;base64,", re.IGNORECASE)
_SHORTEST = 64  # characters; no picture is smaller
_FEWEST_PIXELS = 8  # to a side; below, an array is more likely a table
_FEW = 16  # numbers of an array that are still read one by one
_SURE = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WebP"}
_BLOCKS = {"image", "audio", "file"}
_FIELDS_OF_BLOCKS = {"type", "data", "url", "mime_type", "name", "alt"}


def note_of(value: Any) -> str | None:
    """What a value is, for values that are no reading matter; None for all others.

    A content block is noted as ``image/png, 640x480, 12 kB, board.png``, and so are bytes; a numpy array as
    ``float32 array, 84 x 84``; what else is a picture as in ``picture_note``.
    """
    if isinstance(value, dict):
        return _block_note(value)
    if isinstance(value, bytes):
        return _data_note(value, mime_of_data(value) or "bytes")
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and value.size > _FEW:
        if str(value.dtype) == "uint8" and len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) >= _FEWEST_PIXELS:
            return _pixels_note(shape[1], shape[0], shape[2])
        return f"{value.dtype} array, {' x '.join(f'{side:,}' for side in shape)}"
    return picture_note(value)


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


def _block_note(block: dict[Any, Any]) -> str | None:
    """A note of a content block that is no text, in the form that events hold it in."""
    mime, data, url = block.get("mime_type"), block.get("data"), block.get("url")
    if block.get("type") not in _BLOCKS or not block.keys() <= _FIELDS_OF_BLOCKS or not isinstance(mime, str):
        return None
    if isinstance(data, str):
        try:
            data = base64.b64decode(data, validate=True)
        except ValueError:  # binascii's own error, and text that is not ASCII
            return None
    if isinstance(data, bytes):
        parts = [_data_note(data, mime)]
    elif isinstance(url, str):
        parts = [f"{mime} at {url}"]
    else:
        return None
    parts += [one for one in (block.get("name"), block.get("alt")) if isinstance(one, str) and one]
    return ", ".join(parts)


def _data_note(data: bytes, what: str) -> str:
    size = image_size(data)
    return ", ".join([what, *([f"{size[0]}x{size[1]}"] if size else []), _amount(len(data))])


def _amount(length: int) -> str:
    if length < 1000:
        return f"{length} bytes" if length != 1 else "1 byte"
    return f"{length / 1e3:.0f} kB" if length < 999_500 else f"{length / 1e6:,.1f} MB"


def _file_note(text: str) -> str | None:
    url = _DATA_URL.match(text)
    if url is None and (len(text) < _SHORTEST or any(character.isspace() for character in text[:_SHORTEST])):
        return None
    try:
        data = base64.b64decode(text[url.end() if url else 0 :], validate=url is None)
    except ValueError:  # binascii's own error, and text that is not ASCII
        return f"{url[1].upper()} picture, damaged" if url else None
    kind = _SURE.get(mime_of_data(data) or "")
    if kind is None and url is None:  # the first bytes of other formats are too few to be sure
        return None
    size = image_size(data)
    measured = f", {size[0]:,} x {size[1]:,}" if size else ""
    return f"{kind or (url[1].upper() if url else '')} picture{measured}, {len(data):,} bytes"


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
    return _pixels_note(width, len(rows), len(first))


def _pixels_note(width: int, height: int, samples: int) -> str:
    return f"picture, {width:,} x {height:,}, as an array of {'RGB' if samples == 3 else 'RGBA'} pixels"


def _is_byte(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255
