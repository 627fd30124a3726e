"""Where a worker is visited by others: it handles their clients' frames and requests like those of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, MutableMapping
from contextlib import suppress
from typing import Any

from openenv.fleet.lines import Frame, Line
from openenv.fleet.visits import WELCOME, Answered, Carry, Complete, Serve, read_visit, visit
from openenv.protocol import server_codec
from openenv.server.exchange import Scope
from openenv.server.websocket import WebSocketEndpoint

__all__ = ["Door"]

_LETS_GO_WITHIN_S = 1.0
_MOST_UNREAD = 16
"""Parts of a request's body that may wait to be read."""

Message = MutableMapping[str, Any]


class Door:
    """Takes visits.

    Args:
        endpoint: Handles the frames of connections.
        app: Serves HTTP requests, an ASGI application.
    """

    def __init__(self, endpoint: WebSocketEndpoint, app: Any) -> None:
        self.endpoint = endpoint
        self.app = app
        self._visits: set[asyncio.Task[None]] = set()
        self._lines: set[Line] = set()
        self._is_over = asyncio.Event()  # one of them

    def __call__(self) -> Line:
        """A protocol for the next visit."""
        line = _Visit(self).line
        self._lines.add(line)
        return line

    def over(self, line: Line) -> None:
        """A visit has ended."""
        self._lines.discard(line)
        self._is_over.set()

    def begin(self, task: asyncio.Task[None]) -> None:
        """Keep something that is under way."""
        self._visits.add(task)
        task.add_done_callback(self._visits.discard)

    async def aclose(self) -> None:
        """Wait until all requests are answered, and end all other visits."""
        if self._visits:
            await asyncio.wait(self._visits)
        for line in self._lines:
            line.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LETS_GO_WITHIN_S):
                while self._lines:
                    self._is_over = asyncio.Event()
                    await self._is_over.wait()
        for line in self._lines:
            line.abort()
        while self._visits:
            await asyncio.wait(self._visits)


class _Visit:
    """One visit, of which nothing is known until its header has come."""

    def __init__(self, door: Door) -> None:
        self.line = Line(self._take, self._said, self._lost, on_made=self._made)
        self._door = door
        self._carried: _Carried | None = None
        self._served: _Served | None = None

    def _made(self) -> None:
        self.line.control(WELCOME)

    def _said(self, raw: bytes) -> Awaitable[None] | None:
        match read_visit(raw):
            case Carry(subprotocol=subprotocol):
                self._carried = _Carried(self._door, self.line, subprotocol)
                return self._carried.begin()
            case Serve(scope=scope):
                self._served = _Served(self.line)
                self._door.begin(asyncio.create_task(self._served.serve(self._door.app, scope)))
            case Complete() if self._served is not None:
                return self._served.take(None)
        return None

    def _take(self, frame: Frame) -> Awaitable[None] | None:
        if self._carried is not None:
            return self._carried.take(frame)
        assert self._served is not None and isinstance(frame, bytes)
        return self._served.take(frame)

    def _lost(self) -> None:
        self._door.over(self.line)
        if self._carried is not None:
            self._door.begin(asyncio.create_task(self._carried.leave()))
        elif self._served is not None:
            self._served.disconnected.set()


class _Carried:
    """The connection of another worker's client."""

    def __init__(self, door: Door, line: Line, subprotocol: str) -> None:
        codec = server_codec([subprotocol] if subprotocol else [])
        self._is_whole = not subprotocol
        self._carrier = door.endpoint.carrier_here(codec, line.send, line.close)
        self.take = self._carrier.take
        self.leave = self._carrier.leave

    def begin(self) -> Awaitable[None] | None:
        """Of v1, the session is opened first; of v2, the client was greeted where it came in."""
        return self._greet() if self._is_whole else None

    async def _greet(self) -> None:
        await self._carrier.greet()


class _Served:
    """An HTTP request of another worker's client."""

    def __init__(self, line: Line) -> None:
        self.disconnected = asyncio.Event()
        self._line = line
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue(_MOST_UNREAD)
        self._is_read = False

    def take(self, part: bytes | None) -> Awaitable[None] | None:
        """A part of the body; ``None`` after the last."""
        if self._parts.full():
            return self._parts.put(part)
        self._parts.put_nowait(part)
        return None

    async def serve(self, app: Any, told: dict[str, Any]) -> None:
        """Have it served."""
        try:
            await app(_scope(told), self._receive, self._send)
        finally:
            self._line.close()

    async def _receive(self) -> Message:
        if not self._is_read:
            reading = asyncio.ensure_future(self._parts.get())
            gone = asyncio.ensure_future(self.disconnected.wait())
            try:
                await asyncio.wait({reading, gone}, return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    part = reading.result()
                    self._is_read = part is None
                    return {"type": "http.request", "body": part or b"", "more_body": part is not None}
            finally:
                reading.cancel()
                gone.cancel()
        await self.disconnected.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        under_way: Awaitable[None] | None = None
        if message["type"] == "http.response.start":
            headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
            self._line.control(visit(Answered(message["status"], headers)))
        elif message["type"] == "http.response.body":
            if body := message.get("body", b""):
                under_way = self._line.send(bytes(body))
            if not message.get("more_body"):
                self._line.control(visit(Complete()))
        if under_way is not None:
            await under_way


def _scope(told: dict[str, Any]) -> Scope:
    constant = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "state": {}, "extensions": {}}
    address = {name: tuple(told[name]) if told.get(name) else None for name in ("client", "server")}
    headers = [(bytes(name), bytes(value)) for name, value in told["headers"]]
    return {**constant, **told, **address, "headers": headers}
