"""A worker's end of one session's socket: requests come in, answers and notes go out."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from openenv.session.hosting.notes import MOST_NOTES
from openenv.session.isolation.frames import CANCEL, HEAD, Frame
from openenv.session.isolation.reader import FrameReader
from openenv.session.isolation.tool_frames import note_frame, reading_cancel

if TYPE_CHECKING:
    from openenv.tools import Note

__all__ = ["AwaitedWay", "BlockingWay"]


class _Inbox:
    """Frames that have come, and which of the requests among them is not wanted any more."""

    def __init__(self) -> None:
        self._reader = FrameReader()
        self._ready: deque[Frame] = deque()
        self.number = 0  # of the request that was taken last
        self.unwanted = -1
        self.is_over = False

    def read(self, way: socket.socket, flags: int = 0) -> None:
        """Take in what is there."""
        count = way.recv_into(self._reader.space(), 0, flags)
        if not count:
            self.is_over = True
            return
        for frame in self._reader.filled(count):
            if frame[0] == CANCEL:
                self.unwanted = reading_cancel(frame)
            else:
                self._ready.append(frame)

    def take(self) -> Frame | None:
        """The next request, if there is one."""
        if not self._ready:
            return None
        self.number += 1
        return self._ready.popleft()


class BlockingWay:
    """For a thread that waits for requests. Notes, and questions for a cancellation, may come from other threads."""

    def __init__(self, way: socket.socket) -> None:
        self._way = way
        self._inbox = _Inbox()
        self._reading, self._writing = threading.Lock(), threading.Lock()
        self._process = os.getpid()

    def next(self) -> Frame | None:
        """Wait for the next request; ``None``: the server is gone."""
        inbox = self._inbox
        while (frame := inbox.take()) is None:
            with self._reading:
                inbox.read(self._way)
            if inbox.is_over:
                return None
        return frame

    def is_cancelled(self) -> bool:
        """Whether the answer to the request that was taken last is not wanted any more: looks, and does not wait."""
        inbox = self._inbox
        if inbox.unwanted != inbox.number and self._reading.acquire(blocking=False):
            try:
                while not inbox.is_over:
                    inbox.read(self._way, socket.MSG_DONTWAIT)
            except OSError:  # nothing more is there
                pass
            finally:
                self._reading.release()
        return inbox.is_over or inbox.unwanted == inbox.number

    def send(self, frame: Frame) -> None:
        """Send an answer."""
        with self._writing:
            self._way.sendall(_packed(frame))

    def note(self, note: Note) -> None:
        """Send a note, unless it has no form."""
        frame = note_frame(note)
        if frame is not None and os.getpid() == self._process:  # not in a copy that the environment forked
            with suppress(OSError):  # the server is gone, which is noticed where requests are read
                self.send(frame)


class AwaitedWay:
    """For an event loop, which reads while a request is worked on.

    Args:
        way: The socket, which does not block.

    Attributes:
        on_cancel: Called when the request that was taken last is not wanted any more.
    """

    def __init__(self, way: socket.socket) -> None:
        self.on_cancel: Callable[[], None] | None = None
        self._way = way
        self._inbox = _Inbox()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._waiting: asyncio.Future[None] | None = None
        self._outbox: deque[bytes] = deque()
        self._writing = asyncio.Lock()
        self._noting: asyncio.Task[None] | None = None
        self._loop.add_reader(way.fileno(), self.look)

    async def next(self) -> Frame | None:
        """Wait for the next request; ``None``: the server is gone."""
        while (frame := self._inbox.take()) is None:
            if self._inbox.is_over:
                return None
            self._waiting = self._loop.create_future()
            await self._waiting
        return frame

    @property
    def is_unwanted(self) -> bool:
        """Whether the request that was taken last was cancelled before."""
        return self._inbox.unwanted == self._inbox.number

    def look(self) -> None:
        """Take in what is there; from another thread than the loop's nothing happens."""
        if threading.get_ident() != self._thread or self._inbox.is_over:
            return
        before = self._inbox.unwanted
        try:
            self._inbox.read(self._way)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._inbox.is_over = True
        if self._inbox.is_over:
            self._loop.remove_reader(self._way.fileno())
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
        if self._inbox.unwanted not in (before, -1) and self.is_unwanted and self.on_cancel is not None:
            self.on_cancel()

    async def send(self, frame: Frame) -> None:
        """Send an answer, after the notes that came before."""
        self._outbox.append(_packed(frame))
        await self._flush()

    def note(self, note: Note) -> None:
        """Send a note, unless it has no form."""
        frame = note_frame(note)
        if frame is None or len(self._outbox) >= MOST_NOTES:
            return
        data = _packed(frame)
        if not self._outbox and not self._writing.locked():  # at once: the environment may hold up the loop
            with suppress(OSError):  # if it is full the loop waits; if the server is gone, others notice
                data = data[self._way.send(data) :]
        if data:
            self._outbox.append(data)
            if self._noting is None or self._noting.done():
                self._noting = self._loop.create_task(self._flush_safely())

    def close(self) -> None:
        """Read no more."""
        self._loop.remove_reader(self._way.fileno())

    async def _flush(self) -> None:
        async with self._writing:
            while self._outbox:
                await self._loop.sock_sendall(self._way, self._outbox.popleft())

    async def _flush_safely(self) -> None:
        with suppress(OSError):  # the server is gone, which is noticed where requests are read
            await self._flush()


def _packed(frame: Frame) -> bytes:
    kind, body = frame
    return HEAD.pack(len(body), kind) + body
