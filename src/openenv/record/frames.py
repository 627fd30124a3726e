"""How entries lie in a journal's file: each behind a head that tells where it ends and whether it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from struct import Struct
from zlib import crc32

__all__ = ["FRAME_BYTES", "MARK", "frame_head", "has_frame", "put_head", "read_bytes", "whole_frame", "whole_frames"]

_HEAD = Struct("<III")  # mark, bytes of the entry, their checksum
MARK = 0xFEE57AFF  # begins with the byte 0xFF, which no text in UTF-8 has
_MARK_BYTES = MARK.to_bytes(4, "little")
_CHUNK_BYTES = 1 << 20

FRAME_BYTES = _HEAD.size
"""What an entry takes beside its own bytes."""

put_head = _HEAD.pack_into
"""Puts a head into memory: memory, byte, ``MARK``, length of the entry, its ``crc32`` with the file's salt."""


def frame_head(data: bytes, salt: int) -> bytes:
    """What stands before the bytes of an entry in the file with this salt."""
    return _HEAD.pack(MARK, len(data), crc32(data, salt))


def whole_frame(descriptor: int, salt: int, offset: int, size: int) -> bytes | None:
    """The bytes of the entry whose head begins at this byte of a file; None if no whole one does, up to ``size``."""
    head = os.pread(descriptor, FRAME_BYTES, offset)
    mark, length, checksum = _HEAD.unpack(head) if len(head) == FRAME_BYTES else (0, 0, 0)
    if mark != MARK or offset + FRAME_BYTES + length > size:
        return None
    data = read_bytes(descriptor, length, offset + FRAME_BYTES)
    return data if len(data) == length and crc32(data, salt) == checksum else None


def whole_frames(descriptor: int, salt: int, offset: int, size: int) -> Iterator[tuple[int, bytes]]:
    """From this byte of a file up to the first entry that is not whole: where each ends, and its bytes."""
    unpack = _HEAD.unpack_from
    buffer, at = b"", 0  # buffer[at] is byte `offset` of the file
    while offset + FRAME_BYTES <= size:
        if len(buffer) - at < FRAME_BYTES:
            buffer, at = os.pread(descriptor, _CHUNK_BYTES, offset), 0
        if len(buffer) < FRAME_BYTES:
            return
        mark, length, checksum = unpack(buffer, at)
        behind = offset + FRAME_BYTES + length
        if mark != MARK or behind > size:
            return
        if at + FRAME_BYTES + length > len(buffer):
            buffer, at = read_bytes(descriptor, max(_CHUNK_BYTES, FRAME_BYTES + length), offset), 0
        data = buffer[at + FRAME_BYTES : at + FRAME_BYTES + length]
        if len(data) < length or crc32(data, salt) != checksum:
            return
        yield behind, data
        at, offset = at + FRAME_BYTES + length, behind


def has_frame(content: bytes, salt: int) -> bool:
    """Whether a whole entry begins anywhere behind the first of these bytes."""
    view = memoryview(content)
    at = content.find(_MARK_BYTES, 1)
    while 0 <= at <= len(content) - FRAME_BYTES:
        _, length, checksum = _HEAD.unpack_from(content, at)
        begin = at + FRAME_BYTES
        if begin + length <= len(content) and crc32(view[begin : begin + length], salt) == checksum:
            return True
        at = content.find(_MARK_BYTES, at + 1)
    return False


def read_bytes(descriptor: int, length: int, offset: int) -> bytes:
    """So many bytes of a file, however many; fewer at its end."""
    parts = [os.pread(descriptor, length, offset)]
    while parts[-1] and (missing := length - sum(map(len, parts))) > 0:
        parts.append(os.pread(descriptor, missing, offset + length - missing))
    return parts[0] if len(parts) == 1 else b"".join(parts)
