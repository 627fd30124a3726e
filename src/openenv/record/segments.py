"""The files of a journal: how entries lie in them, and what damage to them means."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import secrets
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zlib import crc32

import msgspec

from openenv.errors import RecordError
from openenv.record.entries import Entry, Position, decode_entry

__all__ = [
    "FRAME_BYTES",
    "HEAD_BYTES",
    "MAX_ENTRY_BYTES",
    "DirectoryLock",
    "EntryReader",
    "Segment",
    "frame_head",
    "position_of",
    "read_segment",
    "segment_head",
    "segment_name",
    "segments_of",
    "split",
    "unwritable",
]

MAX_ENTRY_BYTES = 2**30
"""Largest encoded entry."""

_MAGIC = b"OENVJRNL"
_VERSION = 1  # raise it with every change that older versions cannot read
_HEAD = struct.Struct("<8sII")  # magic, version, salt; the checksum of these follows
_FRAME = struct.Struct("<III")  # mark, bytes of the entry, their checksum
_MARK = 0xFEE57AFF  # begins with the byte 0xFF, which no text in UTF-8 has
_MARK_BYTES = _MARK.to_bytes(4, "little")
_NAME = re.compile(r"([0-9]{8,})\.journal")
_LOCK_NAME = "journal.lock"
_OFFSET_BITS = 40
_CHUNK_BYTES = 1 << 20

HEAD_BYTES = _HEAD.size + 4
"""Where the first entry of a file begins."""

FRAME_BYTES = _FRAME.size
"""What an entry takes beside its own bytes."""

log = logging.getLogger("openenv.record")


class Segment(NamedTuple):
    """One file of a journal."""

    number: int
    path: Path


def segment_name(number: int) -> str:
    """Name of the file with this number."""
    return f"{number:08}.journal"


def position_of(segment: int, offset: int) -> Position:
    """The position of an entry that begins at this byte of a file."""
    return segment << _OFFSET_BITS | offset


def split(position: Position) -> tuple[int, int]:
    """Number of the file, and byte in it."""
    return position >> _OFFSET_BITS, position & (1 << _OFFSET_BITS) - 1


def segments_of(directory: Path) -> list[Segment]:
    """The files of a journal, in order; none if there is no journal, or no such directory.

    Raises:
        RecordError: The directory cannot be read, or something else has the name of such a file.
    """
    try:
        found = [(entry, match) for entry in os.scandir(directory) if (match := _NAME.fullmatch(entry.name))]
        strange = [entry.path for entry, _ in found if not entry.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RecordError(
            f"cannot read the journal directory {directory} ({error.strerror}); name one that you may read",
            details={"path": str(directory)},
        ) from error
    if strange:
        raise _foreign(Path(strange[0]))
    return sorted(Segment(int(match[1]), Path(entry.path)) for entry, match in found)


def segment_head() -> tuple[bytes, int]:
    """What a new file begins with, and its salt, which ``frame_head`` needs."""
    # Nobody who sends actions or makes snapshots knows the salt, so nothing inside an entry can pass for an entry.
    salt = secrets.randbits(32)
    head = _HEAD.pack(_MAGIC, _VERSION, salt)
    return head + crc32(head).to_bytes(4, "little"), salt


def frame_head(data: bytes, salt: int) -> bytes:
    """What stands before the bytes of an entry in the file with this salt."""
    return _FRAME.pack(_MARK, len(data), crc32(data, salt))


def read_segment(segment: Segment) -> Iterator[tuple[Position, Entry]]:
    """The entries of a file, its first ``Began`` included, read as they are asked for.

    What follows the last whole entry is cut off, with a line in the log: a killed process or a power cut left it.

    Raises:
        RecordError: It cannot be read, is no journal, is of a newer version, or is damaged: something is wrong before
            its last whole entry. The file is left as it is.
    """
    number, path = segment
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        salt = _salt(file.read(HEAD_BYTES), path)
        if salt is None:
            log.warning("%s: its beginning was never written; it has no entries", path)
            return
        unpack, base = _FRAME.unpack_from, position_of(number, 0)
        buffer, at, offset = b"", 0, HEAD_BYTES  # buffer[at] is byte `offset` of the file
        while offset < size:
            if len(buffer) - at < FRAME_BYTES:
                buffer, at = buffer[at:] + file.read(_CHUNK_BYTES), 0
            if len(buffer) - at < FRAME_BYTES:
                break
            mark, length, checksum = unpack(buffer, at)
            end = at + FRAME_BYTES + length
            if mark != _MARK or offset + FRAME_BYTES + length > size:
                break
            if end > len(buffer):
                buffer, at, end = buffer[at:] + file.read(max(_CHUNK_BYTES, end - len(buffer))), 0, end - at
            data = buffer[at + FRAME_BYTES : end]
            if len(data) < length or crc32(data, salt) != checksum:
                break
            yield base + offset, _decoded(data, path, offset)
            at, offset = end, offset + FRAME_BYTES + length
        if offset < size:
            _refuse_unless_torn(file, path, salt, offset, size)
            log.warning("%s: cut off %d bytes after its last whole entry, at byte %d", path, size - offset, offset)


class EntryReader:
    """Reads single entries of a journal by their position. Keeps one file open."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._number = -1
        self._salt = 0
        self._open = contextlib.ExitStack()
        self._file: BinaryIO | None = None

    def read(self, position: Position) -> Entry:
        """The entry at this position.

        Raises:
            RecordError: There is none, or it cannot be read.
        """
        number, offset = split(position)
        path = self._directory / segment_name(number)
        if self._file is None or number != self._number:
            self.close()
            file = self._open.enter_context(_opened(path))
            self._salt, self._number, self._file = _salt(file.read(HEAD_BYTES), path) or 0, number, file
        descriptor = self._file.fileno()
        try:
            head = os.pread(descriptor, FRAME_BYTES, offset)
            mark, length, checksum = _FRAME.unpack(head) if len(head) == FRAME_BYTES else (0, 0, 0)
            if mark == _MARK and length <= MAX_ENTRY_BYTES:
                data = os.pread(descriptor, length, offset + FRAME_BYTES)
                if len(data) == length and crc32(data, self._salt) == checksum:
                    return _decoded(data, path, offset)
        except OSError as error:
            raise _unreadable(path, error) from error
        raise RecordError(
            f"no whole entry at byte {offset} of {path}; ask for positions that this journal gave, or restore the "
            "file from a copy",
            details={"path": str(path), "offset": offset},
        )

    def close(self) -> None:
        """Close the file; ``read`` opens it again."""
        self._open.close()
        self._file = None


class DirectoryLock:
    """Keeps a journal's directory for this process, until ``release`` or its end.

    Raises:
        RecordError: Another process has it, or the directory cannot be written.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / _LOCK_NAME
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unwritable(directory, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise RecordError(
                f"the journal directory {directory} is in use by the server with pid {holder}; "
                "stop that one, or name another directory",
                details={"path": str(directory), "pid": holder},
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise unwritable(directory, error) from error
        self._descriptor = descriptor
        _held.add(descriptor)

    def release(self) -> None:
        """Let others have it; once is enough, more do no harm."""
        if self._descriptor >= 0:
            _held.discard(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


_held: set[int] = set()


def _let_go() -> None:
    # A child that an environment forked may live longer than the server, and must not keep the next one out.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


def unwritable(directory: Path, error: OSError) -> RecordError:
    """The error for a journal that cannot be written."""
    return RecordError(
        f"cannot write the journal in {directory} ({error.strerror or error}); "
        "free some space or make it writable, or name another directory, and start the server again",
        details={"path": str(directory)},
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, with what goes wrong while it is read as ``RecordError``."""
    try:
        # O_NONBLOCK: a pipe under this name is refused below, not waited for.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _foreign(path)
            yield file
    except RecordError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from error


def _salt(head: bytes, path: Path) -> int | None:
    """The salt of a file that begins like this; None where a crash kept its beginning from being written."""
    # A disk may give a file its length before its content.
    if (len(head) < HEAD_BYTES and _MAGIC.startswith(head[: len(_MAGIC)])) or not head.strip(b"\0"):
        return None
    magic, version, salt = _HEAD.unpack_from(head) if len(head) == HEAD_BYTES else (b"", 0, 0)
    if magic != _MAGIC or version < 1:
        raise _foreign(path)
    if version > _VERSION:
        raise RecordError(
            f"{path} was written by a newer OpenEnv (journal version {version}, this one reads up to {_VERSION}); "
            "update it with: pip install -U openenv",
            details={"path": str(path), "version": version},
        )
    if crc32(head[:-4]).to_bytes(4, "little") != head[-4:]:
        raise _damaged(path, 0)
    return int(salt)


def _decoded(data: bytes, path: Path, offset: int) -> Entry:
    try:
        return decode_entry(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RecordError(
            f"the entry at byte {offset} of {path} is not one that this OpenEnv knows ({error}); "
            "update it with: pip install -U openenv",
            details={"path": str(path), "offset": offset},
        ) from error


def _refuse_unless_torn(file: BinaryIO, path: Path, salt: int, offset: int, size: int) -> None:
    """Raise if a whole entry follows the damage at this byte: then it is not the torn end of the file."""
    file.seek(offset)
    content = file.read(size - offset)  # no mmap: a server may shorten its file meanwhile
    view = memoryview(content)
    at = content.find(_MARK_BYTES, 1)
    while 0 <= at <= len(content) - FRAME_BYTES:
        _, length, checksum = _FRAME.unpack_from(content, at)
        begin = at + FRAME_BYTES
        if begin + length <= len(content) and crc32(view[begin : begin + length], salt) == checksum:
            raise _damaged(path, offset)
        at = content.find(_MARK_BYTES, at + 1)


def _damaged(path: Path, offset: int) -> RecordError:
    return RecordError(
        f"{path} is damaged at byte {offset}, before its last entry; restore it from a copy, or move it to another "
        "directory and lose its sessions",
        details={"path": str(path), "offset": offset},
    )


def _foreign(path: Path) -> RecordError:
    return RecordError(
        f"{path} is no journal of OpenEnv; name another directory, or move the file away", details={"path": str(path)}
    )


def _unreadable(path: Path, error: OSError) -> RecordError:
    return RecordError(
        f"cannot read the journal file {path} ({error.strerror or error}); check that it is there, that you may read "
        "it, and the disk",
        details={"path": str(path)},
    )
