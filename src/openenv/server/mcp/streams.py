"""The answer to one request as a stream of events, which outlives the connection that carries it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from openenv.mcp.sse import KEEP_ALIVE, EventLog, event
from openenv.server.exchange import Receive, Send, until_gone

__all__ = ["Stream"]

_KEEP_ALIVE_S = 15.0
_COME_BACK_MS = 500
_MOST_WAITING_BYTES = 4 * 1024 * 1024
"""Of what a slow client has not read: notes beyond it are dropped, answers never."""

_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class Stream:
    """Events for one client. One connection carries them at a time; who comes later takes over.

    Args:
        log: Where they are kept for a client that comes back; ``None``: nowhere.
        is_primed: Whether it begins with an event that only tells an id to come back with.

    Attributes:
        is_over: Whether all was said.
        was_carried: Whether a connection was there to its end.
        wanted: Is set once something was said.
    """

    def __init__(self, log: EventLog | None = None, *, is_primed: bool = False) -> None:
        self.log = log
        self._is_to_prime = is_primed and log is not None
        self.is_over = self.was_carried = False
        self.wanted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._carriers = 0
        self._is_carried = True  # what is said before the first connection is ready waits for it
        self._news: asyncio.Future[None] | None = None

    @property
    def is_carried(self) -> bool:
        """Whether a connection is there."""
        return self._is_carried

    def put(self, data: bytes) -> None:
        """Say something that must arrive."""
        self._prime()
        self._say(event(data) if self.log is None else self.log.add(data))
        if not self.wanted.done():
            self.wanted.set_result(None)
        self._wake()

    def offer(self, data: bytes) -> None:
        """Say something that is dropped where the client does not keep up, or is not there."""
        if self._waiting_bytes < _MOST_WAITING_BYTES and self._is_carried:
            self.put(data)

    def kept(self, after: str | None) -> list[bytes] | None:
        """What came after an event; ``None`` if that is not known here (any more)."""
        return None if self.log is None or after is None else self.log.after(after)

    def end(self) -> None:
        """All was said."""
        self.is_over = True
        self._wake()

    async def carry(
        self, receive: Receive, send: Send, headers: Sequence[tuple[bytes, bytes]] = (), after: str | None = None
    ) -> bool:
        """Carry the events over a connection until all was said, the client is gone, or another connection takes over.

        Args:
            receive, send: Of the request.
            headers: Besides those of a stream.
            after: Id of the last event that the client has, where it comes back.

        Returns:
            Whether the client was there to the end.
        """
        self._carriers += 1
        mine = self._carriers
        first: Sequence[bytes] = ()
        if mine > 1:
            first = self.kept(after) or ()
            self._waiting.clear()
            self._waiting_bytes = 0
        self._is_carried = True
        self._prime()
        self._wake()
        await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, *headers]})
        gone = asyncio.create_task(until_gone(receive))
        try:
            for wire in first:
                await _body(send, wire)
            while mine == self._carriers and not gone.done():
                if self._waiting:
                    wire = self._waiting.popleft()
                    self._waiting_bytes -= len(wire)
                    await _body(send, wire)
                elif self.is_over:
                    break
                elif not await self._have_news(gone):
                    await _body(send, KEEP_ALIVE)
            was_there = not gone.done()
        finally:
            gone.cancel()
            if mine == self._carriers:
                self._is_carried = False  # what is said from now on is only kept
        if was_there:
            await _body(send, b"", more=False)
            self.was_carried = self.is_over and mine == self._carriers
        return was_there

    def _prime(self) -> None:
        if self._is_to_prime and self.log is not None:
            self._is_to_prime = False
            self._say(self.log.add(b"", _COME_BACK_MS))

    def _say(self, wire: bytes) -> None:
        if self._is_carried:
            self._waiting.append(wire)
            self._waiting_bytes += len(wire)

    async def _have_news(self, gone: asyncio.Task[None]) -> bool:
        """Whether something happened within the time after which a sign of life is due."""
        self._news = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait({self._news, gone}, timeout=_KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


async def _body(send: Send, data: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})
