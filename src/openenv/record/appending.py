"""Writes a journal's files: which one is open, when the next begins, and which are no longer needed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from openenv.errors import RecordError
from openenv.record.room import Room
from openenv.record.segments import segment_name, segments_of, unwritable

__all__ = ["Appender", "Batch", "sync_file"]

_OPEN_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def sync_file(descriptor: int) -> None:
    """Bring a file's bytes to the disk; returns when they are there."""
    if sys.platform == "darwin":  # where fsync leaves them in the drive's own memory
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(descriptor)


class Batch(Struct, frozen=True, gc=False):
    """What goes to one file at once.

    Attributes:
        segment: Number of the file; a higher one than before begins it.
        chunks: The bytes.
        needed_from: Number of the first file that was needed still when this one was begun.
        salt: That of the file.
    """

    segment: int
    chunks: list[bytes]
    needed_from: int
    salt: int


class Appender:
    """Appends to the files of a directory. Used by one thread at a time.

    Args:
        directory: Where they are.
        keep_bytes: Once the files have more bytes than this, the oldest that are no longer needed are deleted; None:
            never.
        sync: Brings a file's bytes to the disk; None: nobody waits for the disk.
        write: As ``os.write``.
        room: Where there may be some for what comes next; None: everything is written.
    """

    def __init__(
        self,
        directory: Path,
        keep_bytes: int | None,
        sync: Callable[[int], None] | None,
        write: Callable[[int, bytes], int],
        room: Room | None,
    ) -> None:
        self._directory, self._keep_bytes, self._sync, self._os_write = directory, keep_bytes, sync, write
        self._room, self._has_room = room, False
        self._number = 0
        self._descriptor = -1
        self._size = 0  # bytes of whole batches in the open file

    def write(self, batches: list[Batch]) -> None:
        """Append these, in order; with ``sync``, return when they are on the disk. There may be room afterwards.

        Raises:
            RecordError: Not all of it was written. What was is cut off again, as far as that is possible.
        """
        self._return()
        try:
            for batch in batches:
                if batch.segment != self._number:
                    self._begin(batch.segment)
                data = batch.chunks[0] if len(batch.chunks) == 1 else b"".join(batch.chunks)
                written = self._os_write(self._descriptor, data)
                while written < len(data):  # the disk is nearly full, or a signal came
                    written += self._os_write(self._descriptor, data[written:])
                if self._sync is not None:
                    self._sync(self._descriptor)
                self._size += len(data)
                if self._size == len(data):
                    self._delete_unneeded(batch.needed_from)
            if self._has_room and self._room is not None:  # once refused, not asked for again in this file
                last = batches[-1]
                each = 2 * len(data) // len(last.chunks)  # an entry and its head are two
                self._has_room = self._room.go_on(self._descriptor, last.segment, last.salt, self._size, each)
        except OSError as error:
            self._cut()
            raise unwritable(self._directory, error) from error

    def close(self) -> None:
        """Close the file; once is enough, more do no harm."""
        self._return()
        self._end_file()

    def _begin(self, number: int) -> None:
        self._end_file()
        self._descriptor = os.open(self._directory / segment_name(number), _OPEN_FLAGS, 0o600)
        self._number, self._size, self._has_room = number, 0, self._room is not None
        if self._sync is not None:  # the file's name has to be on the disk too
            directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _end_file(self) -> None:
        if self._descriptor >= 0:
            self._cut()
            os.close(self._descriptor)
            self._descriptor = -1

    def _return(self) -> None:
        """Come back from the room, if there is one: what is written now goes behind what was put there."""
        if self._room is not None and (filled := self._room.filled) is not None:
            self._size = os.lseek(self._descriptor, filled, os.SEEK_SET)

    def _cut(self) -> None:
        """Give back what follows the last whole batch, the room included."""
        if self._room is not None:
            self._room.drop()
        with contextlib.suppress(OSError):  # readers pass over it too
            if self._descriptor >= 0 and os.fstat(self._descriptor).st_size > self._size:
                os.ftruncate(self._descriptor, self._size)

    def _delete_unneeded(self, needed_from: int) -> None:
        if self._keep_bytes is None:
            return
        with contextlib.suppress(RecordError):  # who cannot list the files keeps them
            sizes = {segment: segment.path.stat().st_size for segment in segments_of(self._directory)}
            total = sum(sizes.values())
            for segment, size in sizes.items():
                if total <= self._keep_bytes or segment.number >= min(needed_from, self._number):
                    break
                segment.path.unlink()
                total -= size
