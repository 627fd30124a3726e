"""Frames to and from the program in the sandbox, which is not trusted: nothing it sends is believed to be whole."""

from __future__ import annotations

import os
import select
import struct

__all__ = ["Frames", "Lost"]

_HEAD = struct.Struct(">cI")
_MOST = 1024 * 1024
_PIECE = 65536


class Lost(Exception):
    """The other end is gone, or does not speak in frames."""


class Frames:
    """Both ways, over two pipes; neither ever waits.

    Args:
        reading, writing: Descriptors, which belong to this object from here on.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        self._received = bytearray()
        self._unsent = bytearray()
        self._poller = select.poll()
        self._poller.register(reading, select.POLLIN)

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Have a frame sent, now and in the exchanges to come."""
        self._unsent += _HEAD.pack(kind, len(payload)) + payload
        self._flush()

    def exchange(self, timeout_s: float) -> list[tuple[bytes, bytes]]:
        """Send what is unsent and take what has come, after waiting for it at most so long.

        Raises:
            Lost: There is no other end any more.
        """
        if self._unsent:
            self._poller.register(self._writing, select.POLLOUT)
        try:
            ready = {fd for fd, _ in self._poller.poll(max(0.0, timeout_s) * 1000)}
        finally:
            if self._unsent:
                self._poller.unregister(self._writing)
        if self._writing in ready:
            self._flush()
        if self._reading in ready:
            piece = os.read(self._reading, _PIECE)
            if not piece:
                raise Lost("the program in the sandbox has ended")
            self._received += piece
        return self._taken()

    def close(self) -> None:
        """Let go of the pipes; safe to call twice."""
        for descriptor in (self._reading, self._writing):
            if descriptor >= 0:
                os.close(descriptor)
        self._reading = self._writing = -1

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._writing, self._unsent[:_PIECE])]
        except BlockingIOError:
            pass
        except OSError:  # which the next reading says too
            self._unsent.clear()

    def _taken(self) -> list[tuple[bytes, bytes]]:
        frames: list[tuple[bytes, bytes]] = []
        start = 0
        while len(self._received) - start >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._received, start)
            if length > _MOST:
                raise Lost("the program in the sandbox does not speak in frames")
            end = start + _HEAD.size + length
            if len(self._received) < end:
                break
            frames.append((kind, bytes(self._received[start + _HEAD.size : end])))
            start = end
        del self._received[:start]
        return frames
