"""Frames out of a stream of bytes, whoever reads it and however."""

from __future__ import annotations

from typing import cast

from openenv.errors import RemoteProtocolError
from openenv.session.isolation.frames import HEAD, LARGEST, Frame

__all__ = ["FrameReader"]

_SMALL = 64 * 1024


class FrameReader:
    """Takes bytes where it says, and gives the frames that are complete.

    Args:
        largest: Bytes of the largest body it takes.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest
        self._buffer = bytearray(_SMALL)
        self._view = memoryview(self._buffer)
        self._end = 0  # of what is in the buffer, which begins with a head
        self._body: bytearray | None = None  # of a frame that does not fit in there
        self._kind = 0
        self._got = 0

    def space(self) -> memoryview:
        """Where the next bytes go; never empty."""
        if self._body is not None:
            return memoryview(self._body)[self._got :]
        return self._view[self._end :]

    def filled(self, count: int) -> list[Frame]:
        """Take note that ``count`` bytes were written there; the frames that are complete now.

        Raises:
            RemoteProtocolError: A frame is too large.
        """
        if self._body is not None:
            self._got += count
            if self._got < len(self._body):
                return []
            body, self._body = self._body, None
            return [(self._kind, cast("bytes", body))]  # as good to whoever decodes it, without a copy
        self._end += count
        found: list[Frame] = []
        at = 0
        while self._end - at >= HEAD.size:
            size, kind = HEAD.unpack_from(self._buffer, at)
            begin = at + HEAD.size
            if begin + size > self._end:
                if HEAD.size + size > _SMALL:
                    self._begin(size, kind, begin)
                    return found
                break
            found.append((kind, bytes(self._view[begin : begin + size])))
            at = begin + size
        if at:
            self._buffer[: self._end - at] = self._view[at : self._end]
            self._end -= at
        return found

    def _begin(self, size: int, kind: int, begin: int) -> None:
        """Go on with a body that has a buffer of its own."""
        if size > self._largest:
            raise RemoteProtocolError(f"a frame of {size} bytes is larger than {self._largest}")
        self._body, self._kind, self._got = bytearray(size), kind, self._end - begin
        self._body[: self._got] = self._view[begin : self._end]
        self._end = 0
