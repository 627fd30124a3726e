"""The files of a journal: their names and beginnings, how they are read, and what damage to them means."""

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
from openenv.record.frames import has_frame, read_bytes, whole_frame, whole_frames

__all__ = [
    "HEAD_BYTES",
    "MAX_ENTRY_BYTES",
    "DirectoryLock",
    "EntryReader",
    "Segment",
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
_NAME = re.compile(r"([0-9]{8,})\.journal")
_LOCK_NAME = "journal.lock"
_OFFSET_BITS = 40

HEAD_BYTES = _HEAD.size + 4
"""Where the first entry of a file begins."""

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


def read_segment(segment: Segment) -> Iterator[tuple[Position, Entry]]:
    """The entries of a file, its first ``Began`` included, read as they are asked for.

    What follows the last whole entry is cut off: the room that a server keeps or left there, and, with a line in the
    log, what a killed process or a power cut left of an entry.

    Raises:
        RecordError: It cannot be read, is no journal, is of a newer version, or is damaged: something is wrong before
            its last whole entry. The file is left as it is.
    """
    number, path = segment
    with _opened(path) as file:
        descriptor = file.fileno()
        size = os.fstat(descriptor).st_size
        salt = _salt(os.pread(descriptor, HEAD_BYTES, 0), path)
        if salt is None:
            log.warning("%s: its beginning was never written; it has no entries", path)
            return
        base, offset = position_of(number, 0), HEAD_BYTES
        while offset < size:
            for end, data in whole_frames(descriptor, salt, offset, size):
                yield base + offset, _decoded(data, path, offset)
                offset = end
            if not _goes_on(descriptor, path, salt, offset, size):
                return


def _goes_on(descriptor: int, path: Path, salt: int, offset: int, size: int) -> bool:
    """Whether there is an entry at this byte after all, where none was a moment ago: a server is writing.

    Raises:
        RecordError: There is none, but a whole one follows: then this is not the torn end of the file.
    """
    content = read_bytes(descriptor, size - offset, offset)  # no mmap: a server may shorten its file meanwhile
    is_damaged = has_frame(content, salt)
    if whole_frame(descriptor, salt, offset, size) is not None:  # looked for last, since it was written first
        return True
    if is_damaged:
        raise _damaged(path, offset)
    if cut := len(content.rstrip(b"\0")):  # zeros are room that was not filled
        log.warning("%s: cut off %d bytes after its last whole entry, at byte %d", path, cut, offset)
    return False


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
            data = whole_frame(descriptor, self._salt, offset, os.fstat(descriptor).st_size)
        except OSError as error:
            raise _unreadable(path, error) from error
        if data is not None:
            return _decoded(data, path, offset)
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
