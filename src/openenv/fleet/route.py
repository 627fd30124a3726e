"""A line from this worker to another one, on behalf of one client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from openenv.fleet.lines import CONTROL, Frame, Line
from openenv.fleet.visits import WELCOME

__all__ = ["PATIENCE_S", "Route"]

_AGAIN_S = 0.1

PATIENCE_S = 15.0
"""Seconds that a worker which is being replaced is waited for."""

_MOST_KEPT_BYTES = 16 * 1024 * 1024
"""What is kept for a worker that is not there, before the client is read no further."""


class Route:
    """Carries frames to a worker and back. What is sent before the worker is there is kept here.

    Args:
        path: The Unix socket that the worker listens on, or the next one will.
        header: What the line begins with.
        on_frame: Takes a frame that comes back; what it returns is awaited before the next.
        on_control: Takes what the worker says.
        on_end: Called once when it has ended, but not after ``close``: the worker ended it or is gone.
        patience_s: How long to wait for the worker.
    """

    def __init__(
        self,
        path: str,
        header: bytes,
        on_frame: Callable[[Frame], Awaitable[None] | None],
        on_control: Callable[[bytes], Awaitable[None] | None],
        on_end: Callable[[], None],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._path = path
        self._on_control = on_control
        self._on_end = on_end
        self._patience_s = patience_s
        self._line = Line(on_frame, self._said, self._ended)
        self._kept: list[tuple[int, Frame]] = [(CONTROL, header)]
        self._kept_bytes = 0
        self._connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._welcomed = asyncio.Event()
        self._was_reached = False
        self._is_closed = self._has_ended = False
        self._connecting = asyncio.create_task(self._connect())

    def send(self, frame: Frame) -> Awaitable[None] | None:
        """Send a frame; if something is returned it is to be awaited before the next."""
        if self._connected.done():
            return self._line.send(frame)
        self._kept.append((-1, frame))
        self._kept_bytes += len(frame)
        return asyncio.shield(self._connected) if self._kept_bytes > _MOST_KEPT_BYTES else None

    def control(self, said: bytes) -> None:
        """Say something to the worker."""
        if self._connected.done():
            self._line.control(said)
        else:
            self._kept.append((CONTROL, said))

    def close(self) -> None:
        """End it, once everything is written."""
        self._is_closed = True
        self._connecting.cancel()
        self._line.close()

    @property
    def was_reached(self) -> bool:
        """Whether the worker took the line, and may have done what it was asked."""
        return self._was_reached

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await self._reach()
                # until then nothing is sent, or a worker might come upon what its client has long given up
                await self._welcomed.wait()
                for kind, frame in self._kept:
                    if kind == CONTROL:
                        assert isinstance(frame, bytes)
                        self._line.control(frame)
                    else:
                        self._line.send(frame)
                self._connected.set_result(None)
                self._kept.clear()
        except TimeoutError:
            self._line.abort()
            self._ended()
        except asyncio.CancelledError:
            self._line.close()
            raise
        finally:
            if not self._connected.done():
                self._connected.set_result(None)

    async def _reach(self) -> None:
        """Connect. Where nobody listens the whole server is ending, and this process in a moment."""
        while True:
            try:
                await asyncio.get_running_loop().create_unix_connection(lambda: self._line, self._path)
                return
            except OSError:  # also where more are connecting than the system lets wait
                await asyncio.sleep(_AGAIN_S)

    def _said(self, raw: bytes) -> Awaitable[None] | None:
        if raw == WELCOME:
            self._was_reached = True
            self._welcomed.set()
            return None
        return self._on_control(raw)

    def _ended(self) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        self._welcomed.set()
        if not self._is_closed:
            self._on_end()
