"""Frames between two processes of one server, over a Unix socket, in order and with back-pressure."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from typing import cast

__all__ = ["CONTROL", "Frame", "Line"]

Frame = str | bytes

CONTROL, _TEXT, _BINARY = range(3)
"""Kinds: said by one process to the other, and frames that they carry."""

_HEAD = struct.Struct("<BI")
_FULL_BYTES = 1024 * 1024
"""What may wait to be written before who writes is asked to wait."""


class Line(asyncio.Protocol):
    """One end of a line. What arrives is handed over one by one: a handler that returns an awaitable is waited for.

    Args:
        on_frame: Takes a frame that is carried.
        on_control: Takes what the other process says.
        on_lost: Called once, when the line has ended and all that arrived was taken.
        on_made: Called once it is connected.
    """

    def __init__(
        self,
        on_frame: Callable[[Frame], Awaitable[None] | None],
        on_control: Callable[[bytes], Awaitable[None] | None],
        on_lost: Callable[[], None],
        on_made: Callable[[], None] | None = None,
    ) -> None:
        self._on_frame = on_frame
        self._on_control = on_control
        self._on_lost = on_lost
        self._on_made = on_made
        self._transport: asyncio.Transport | None = None
        self._unread: list[bytes] = []
        self._unread_bytes = self._wanted_bytes = 0
        self._untaken: deque[tuple[int, bytes]] = deque()
        self._taking: asyncio.Task[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._is_closed = self._is_lost = False

    @property
    def is_open(self) -> bool:
        """Whether what is sent may arrive."""
        return self._transport is not None and not self._is_closed and not self._transport.is_closing()

    def send(self, frame: Frame) -> Awaitable[None] | None:
        """Send a frame; if something is returned it is to be awaited before the next. Nothing is sent once it ended."""
        return self._write(_TEXT, frame.encode()) if isinstance(frame, str) else self._write(_BINARY, frame)

    def control(self, said: bytes) -> Awaitable[None] | None:
        """Say something to the other process; as ``send``."""
        return self._write(CONTROL, said)

    def close(self) -> None:
        """End the line, once everything is written. What arrives from now on is dropped.

        It is over when the other end has let go too: who closes a Unix socket before everything is read takes back what
        was written.
        """
        if self.is_open:
            assert self._transport is not None
            self._transport.write_eof()
        self._is_closed = True
        self._untaken.clear()

    def abort(self) -> None:
        """End the line at once, whatever was not written yet."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``; so are the others below."""
        self._transport = cast("asyncio.Transport", transport)  # those of other loops are none by their class
        self._transport.set_write_buffer_limits(_FULL_BYTES)
        if self._is_closed:
            self._transport.abort()
        elif self._on_made is not None:
            self._on_made()

    def data_received(self, data: bytes) -> None:
        if self._is_closed:
            return
        self._unread.append(data)
        self._unread_bytes += len(data)
        if self._unread_bytes < self._wanted_bytes:  # of a large frame: joined once, when all of it is here
            return
        unread = b"".join(self._unread) if len(self._unread) > 1 else data
        at, end, wanted = 0, len(unread), _HEAD.size
        while end - at >= wanted:
            kind, length = _HEAD.unpack_from(unread, at)
            begin, wanted = at + _HEAD.size, _HEAD.size + length
            if end - at < wanted:
                break
            at, wanted = begin + length, _HEAD.size
            self._arrived(kind, unread[begin:at])
        self._unread = [unread[at:]] if at < end else []
        self._unread_bytes, self._wanted_bytes = end - at, wanted

    def eof_received(self) -> None:
        pass  # the transport closes itself

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self.resume_writing()
        if self._taking is None:
            self._on_lost()

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def _write(self, kind: int, data: bytes) -> Awaitable[None] | None:
        if not self.is_open:
            return None
        assert self._transport is not None
        if len(data) < _FULL_BYTES:
            self._transport.write(_HEAD.pack(kind, len(data)) + data)
        else:  # not copied
            self._transport.writelines((_HEAD.pack(kind, len(data)), data))
        return None if self._writable is None else asyncio.shield(self._writable)

    def _arrived(self, kind: int, data: bytes) -> None:
        if self._taking is not None:
            self._untaken.append((kind, data))
            return
        waiting = self._take(kind, data)
        if waiting is not None:
            assert self._transport is not None
            self._transport.pause_reading()
            self._taking = asyncio.create_task(self._take_others(waiting))

    def _take(self, kind: int, data: bytes) -> Awaitable[None] | None:
        if kind == CONTROL:
            return self._on_control(data)
        return self._on_frame(data.decode() if kind == _TEXT else data)

    async def _take_others(self, waiting: Awaitable[None] | None) -> None:
        try:
            while True:
                if waiting is not None:
                    await waiting
                if not self._untaken:
                    break
                waiting = self._take(*self._untaken.popleft())
        except Exception:  # noqa: BLE001 - whatever a transport raises: what arrives can go nowhere any more
            self._untaken.clear()
            self.abort()
        finally:
            self._taking = None
            if self._is_lost:
                self._on_lost()
            elif self._transport is not None:
                self._transport.resume_reading()
