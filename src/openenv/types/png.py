"""Arrays of pixels as PNG files, and back; numpy is imported when it is used."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["pixels_of_png", "png_of_pixels"]

# PNG, third edition (W3C): colour types of 8-bit samples, by samples a pixel, and the filter that keeps differences
# from the row above. Both are whole-array operations, so nothing here loops over pixels.
_COLOURS = {1: 0, 3: 2, 4: 6}
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NONE, _UP = 0, 2
_LEVEL = 3  # of zlib: 6 takes twice as long for some per cent


def png_of_pixels(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file.

    Args:
        pixels: uint8, height x width for grey, height x width x 3 for RGB, x 4 for RGBA; no side is 0.
    """
    import numpy

    height, width = pixels.shape[:2]
    samples = 1 if pixels.ndim == 2 else pixels.shape[2]
    rows = pixels.reshape(height, width * samples)
    filtered = numpy.full((height, 1 + width * samples), _UP, dtype=numpy.uint8)
    filtered[0, 1:] = rows[0]
    numpy.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])  # modulo 256, as uint8 does by itself
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[samples], 0, 0, 0)
    body = zlib.compress(filtered.tobytes(), _LEVEL)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def pixels_of_png(data: bytes) -> NDArray[np.uint8] | None:
    """The pixels of a PNG file of the form that ``png_of_pixels`` writes; None for any other file."""
    import numpy

    parts = _parts(data)
    if parts is None:
        return None
    header, body = parts
    width, height, *form = struct.unpack(">IIBBBBB", header)
    samples = next((samples for samples, colour in _COLOURS.items() if form == [8, colour, 0, 0, 0]), 0)
    length = height * (1 + width * samples)
    if not samples or not width or not height or length > 1100 * len(body):  # deflate can do no better
        return None
    inflate = zlib.decompressobj()
    try:
        raw = inflate.decompress(body, length + 1)
    except zlib.error:
        return None
    if len(raw) != length:
        return None
    filtered = numpy.frombuffer(raw, numpy.uint8).reshape(height, 1 + width * samples)
    if (filtered[:, 0] == _UP).all():
        rows: Any = numpy.add.accumulate(filtered[:, 1:], axis=0, dtype=numpy.uint8)
    elif (filtered[:, 0] == _NONE).all():
        rows = filtered[:, 1:].copy()
    else:
        return None
    pixels: NDArray[np.uint8] = rows.reshape((height, width) if samples == 1 else (height, width, samples))
    return pixels


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _parts(data: bytes) -> tuple[bytes, bytes] | None:
    """Header and compressed pixels of a PNG file that has no chunk that changes what they mean."""
    if not data.startswith(_SIGNATURE):
        return None
    header, body, at = b"", list[bytes](), len(_SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if data[at + 8 + length : at + 12 + length] != struct.pack(">I", zlib.crc32(name + content)):
            return None
        if name == b"IEND":
            return (header, b"".join(body)) if len(header) == 13 else None
        if name == b"IHDR":
            header = content
        elif name == b"IDAT":
            body.append(content)
        elif name == b"tRNS":
            return None
        at += 12 + length
    return None
