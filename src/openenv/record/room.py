"""Room reserved at the end of a journal's file and mapped into memory: what is copied to it is in the file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import struct
from collections.abc import Callable
from functools import cache
from typing import Any
from zlib import crc32

from openenv.record.entries import Position
from openenv.record.frames import FRAME_BYTES, MARK, put_head
from openenv.record.segments import position_of

__all__ = ["Room", "reserve_bytes"]

_LEAST_BYTES, _MOST_BYTES = 1 << 14, 1 << 18  # the first is small: an idle server keeps it, a killed one leaves it
_MOST_IN_ENTRY = 4096  # of more, each page costs more than a call that writes them all
# The ioctl and not posix_fallocate, which, where a file system cannot reserve, writes zeros and promises nothing.
_FS_IOC_RESVSP = 0x40305828
_MADV_POPULATE_WRITE = 23
_SPACE = struct.Struct("hhqqiI4i")  # type, whence, start, length, and what is not used
# Where a page of a reserved range can always be written. Others copy on write, and find no room for the copy on a disk
# that has become full: the process would get SIGBUS.
_KEEPING = {"ext4", "xfs", "tmpfs", "overlay"}


def reserve_bytes(descriptor: int, start: int, length: int) -> None:
    """Have a file system keep room for these bytes of a file, beyond its end too. The file stays as long as it is.

    Raises:
        OSError: There is no room, or the file system does not keep any.
    """
    kinds = _kinds(os.fstat(descriptor).st_dev)
    if not kinds or not kinds <= _KEEPING:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    fcntl.ioctl(descriptor, _FS_IOC_RESVSP, _SPACE.pack(0, os.SEEK_SET, start, length, 0, 0, 0, 0, 0, 0))


@cache
def _kinds(device: int) -> frozenset[str]:
    """What file system is on a device; nothing for one that the system does not list, such as a part of btrfs."""
    name = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        fields = (line.split() for line in mounts)
        # id, parent, device, root, mount point, options, any number of others, "-", type
        return frozenset(line[line.index("-", 6) + 1] for line in fields if line[2] == name)


class Room:
    """The reserved end of a file. Bytes that are there outlive the process, kill -9 included, as written ones do.

    Until it is left, the file is longer than what it has: zeros follow.

    Args:
        reserve: As ``reserve_bytes``.
        segment_bytes: A file has no room beyond so many bytes.
    """

    __slots__ = (
        "_at", "_base", "_limit", "_memory", "_next_bytes", "_reserve", "_salt", "_segment_bytes", "_size", "_start",
    )  # fmt: skip

    def __init__(self, reserve: Callable[[int, int, int], None], segment_bytes: int) -> None:
        self._reserve, self._segment_bytes = reserve, segment_bytes
        self._next_bytes = _LEAST_BYTES
        self._memory: mmap.mmap | None = None
        self._start = 0  # byte of the file where the memory begins
        self._size = 0  # bytes of the memory
        self._at = 0  # byte of the memory behind what the file has
        self._limit = 0  # byte of the memory up to which entries may be put now
        self._base: Position = 0  # of the first byte of the memory
        self._salt = 0

    @property
    def filled(self) -> int | None:
        """The first byte behind what the file has; None without a room."""
        return None if self._memory is None else self._start + self._at

    def put(self, data: bytes) -> Position:
        """Add an entry's bytes; its position. 0: it is to be written, and so is what comes until ``go_on``."""
        at = self._at
        begin = at + FRAME_BYTES
        length = len(data)
        end = begin + length
        if end > self._limit or length > _MOST_IN_ENTRY:
            self._limit = 0
            return 0
        memory: Any = self._memory
        memory[begin:end] = data
        put_head(
            memory, at, MARK, length, crc32(data, self._salt)
        )  # last: until it is there, who reads meanwhile finds zeros
        self._at = end
        return self._base + at

    def go_on(self, descriptor: int, segment: int, salt: int, size: int, entry_bytes: int) -> bool:
        """Take entries again behind the first ``size`` bytes of a file, if those that were written were small.

        Returns:
            Whether it is worth asking again in this file.
        """
        if self._memory is not None and size + FRAME_BYTES < self._start + self._size:
            self._at, self._limit = size - self._start, min(self._size, self._segment_bytes - self._start)
            return True
        self.drop()
        if entry_bytes > _MOST_IN_ENTRY:  # the next may be as large, and what is reserved is slower to write
            return True
        return self._make(descriptor, segment, salt, size)

    def drop(self) -> None:
        """Let go of the memory, if there is any. The file is to be cut to its size afterwards."""
        memory, self._memory, self._limit = self._memory, None, 0
        if memory is not None:
            memory.close()

    def _make(self, descriptor: int, segment: int, salt: int, size: int) -> bool:
        if size >= self._segment_bytes:
            return False
        page = mmap.ALLOCATIONGRANULARITY
        start = size // page * page
        length = min(self._next_bytes, -(-self._segment_bytes // page) * page - start)
        try:
            self._reserve(descriptor, start, length)
            os.ftruncate(descriptor, start + length)
            memory = mmap.mmap(descriptor, length, offset=start)
            _populate(memory)
        except (OSError, ValueError):  # where not even this can be kept, writing will tell
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            return False
        self._memory, self._start, self._size = memory, start, length
        self._at, self._limit = size - start, min(length, self._segment_bytes - start)
        self._base, self._salt = position_of(segment, start), salt
        self._next_bytes = min(2 * self._next_bytes, _MOST_BYTES)
        return True


def _populate(memory: mmap.mmap) -> None:
    """Have all its pages in memory now, which is cheaper than one by one, and tells if there can be none."""
    try:
        memory.madvise(_MADV_POPULATE_WRITE)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a kernel that does not know it
            memory.close()
            raise
