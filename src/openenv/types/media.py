"""What kind of file some bytes are, told by their first ones, and how large a picture is."""

from __future__ import annotations

import mimetypes
from pathlib import PurePosixPath

__all__ = ["TELLING", "extension_of", "image_size", "mime_of_data", "mime_of_name", "usual_mime"]

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"fLaC": "audio/flac",
    b"OggS": "audio/ogg",
    b"ID3": "audio/mpeg",
    b"\xff\xfb": "audio/mpeg",
    b"\xff\xf3": "audio/mpeg",
    b"\xff\xf2": "audio/mpeg",
    b"\xff\xf1": "audio/aac",
    b"\xff\xf9": "audio/aac",
    b"%PDF-": "application/pdf",
    b"PK\x03\x04": "application/zip",
    b"\x1f\x8b": "application/gzip",
}
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}  # bytes 8 to 12 of a RIFF file
_BRANDS = {b"avif": "image/avif", b"heic": "image/heic", b"M4A ": "audio/mp4"}  # the same of an ISO media file
TELLING = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "audio/wav", "audio/flac"})
"""Types whose first bytes leave no doubt: data that begins so is nothing else."""

_USUAL = {
    "image/jpg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-ms-bmp": "image/bmp",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/x-m4a": "audio/mp4",
}
_BY_EXTENSION = {  # what Python's own table lacks, or has in some versions only
    ".avif": "image/avif",
    ".flac": "audio/flac",
    ".heic": "image/heic",
    ".jsonl": "application/jsonl",
    ".log": "text/plain",
    ".m4a": "audio/mp4",
    ".md": "text/markdown",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".webp": "image/webp",
    ".yaml": "text/yaml",
    ".yml": "text/yaml",
}
_TABLE = mimetypes.MimeTypes()  # without the files of the machine, so that it says the same on each
# The frame headers of JPEG (ITU-T T.81, table B.1): SOF0 to SOF15 without DHT, JPG and DAC, which lie among them.
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def mime_of_data(data: bytes) -> str | None:
    """The MIME type that the first bytes of a file tell; None where they tell none."""
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "video/mp4")
    if data[:2] == b"BM" and data[2:6] == len(data).to_bytes(4, "little"):  # two letters alone are no proof
        return "image/bmp"
    return next((mime for magic, mime in _MAGIC.items() if data.startswith(magic)), None)


def mime_of_name(name: str) -> str | None:
    """The MIME type that the extension of a file's name tells; None where it is not known."""
    own = _BY_EXTENSION.get(PurePosixPath(name).suffix.lower())
    found, packed = _TABLE.guess_type(name.lower())
    if packed is not None:  # what is in it is of that type, not the file
        return "application/gzip" if packed == "gzip" else None
    told = own or found
    return usual_mime(told) if told else None


def usual_mime(mime: str) -> str:
    """A MIME type in lower case, without parameters, and by its usual name: ``image/jpeg`` for ``image/jpg``."""
    plain = mime.partition(";")[0].strip().lower()
    return _USUAL.get(plain, plain)


def extension_of(mime: str) -> str:
    """An extension for files of that type, with its dot; empty where none is known."""
    own = next((extension for extension, known in _BY_EXTENSION.items() if known == mime), None)
    return own or _TABLE.guess_extension(mime) or ""


def image_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels of a PNG, GIF, JPEG, WebP or BMP file, read from its header; None for others."""
    match mime_of_data(data):
        case "image/png" if len(data) >= 24:
            return _number(data[16:20], "big"), _number(data[20:24], "big")
        case "image/gif" if len(data) >= 10:
            return _number(data[6:8]), _number(data[8:10])
        case "image/bmp" if len(data) >= 26:
            return _number(data[18:22]), abs(int.from_bytes(data[22:26], "little", signed=True))  # upside down: < 0
        case "image/jpeg":
            return _jpeg_size(data)
        case "image/webp" if len(data) >= 30:
            return _webp_size(data)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in _JPEG_FRAMES:
            return _number(data[at + 7 : at + 9], "big"), _number(data[at + 5 : at + 7], "big")
        at += 2 + _number(data[at + 2 : at + 4], "big")
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """By the first chunk of the file (RFC 9649): extended, lossless or lossy."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        return _number(data[24:27]) + 1, _number(data[27:30]) + 1
    if chunk == b"VP8L" and data[20] == 0x2F:
        bits = _number(data[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return _number(data[26:28]) & 0x3FFF, _number(data[28:30]) & 0x3FFF
    return None


def _number(data: bytes, order: str = "little") -> int:
    return int.from_bytes(data, "big" if order == "big" else "little")
