"""One worker of a server: its application, with the sessions of the other workers in reach."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

from openenv.errors import ConfigurationError
from openenv.fleet.desk_line import DeskLine
from openenv.fleet.door import Door
from openenv.fleet.forwarding import Forwarding
from openenv.fleet.switch import Neighbours, Switch
from openenv.protocol import ServerCodec
from openenv.protocol.addressing import numbered_id
from openenv.server.carrier import HangUp, Put
from openenv.server.conveyor import Conveyor
from openenv.server.exchange import Receive, Scope, Send
from openenv.server.websocket import WebSocketEndpoint
from openenv.session import SessionEngine

__all__ = ["Member"]

_MOST_VISITS_WAITING = 4096


class Member:
    """An ASGI application around one made by ``create_app``, which becomes that of a worker.

    Args:
        app: What every worker serves.
        index: Number of this one.
        paths: The Unix sockets of all, by number.
        desk: Connected to the desk.
        door: Listens on the Unix socket of this one.

    Raises:
        ConfigurationError: The application was not made by ``create_app``.
    """

    def __init__(self, app: Any, index: int, paths: Sequence[str], desk: socket.socket, door: socket.socket) -> None:
        state = getattr(app, "state", None)
        engine, endpoint = getattr(state, "engine", None), getattr(state, "sockets", None)
        if not (isinstance(engine, SessionEngine) and isinstance(endpoint, WebSocketEndpoint)):
            raise ConfigurationError("only what create_app made can be served by several workers; leave out --workers")
        self._app = app
        self._engine = engine
        self._endpoint = endpoint
        self._sockets = desk, door
        self._desk = DeskLine(engine)
        self._neighbours = Neighbours(index, paths, self._desk.place)
        self._door = Door(endpoint, app)
        self._forwarding = Forwarding(
            app, self._neighbours, app.state.max_message_bytes, is_production=app.state.access.production
        )
        self._visited: asyncio.Server | None = None
        engine.share(self._desk, numbered_id(index))
        endpoint.convey = self._convey
        app.state.drain = self.drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or connection, or the life of the application."""
        if scope["type"] == "http":
            await self._forwarding(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def drain(self, grace_s: float) -> None:
        """End all sessions here; connections stay while they carry those of others that are ending too.

        Args:
            grace_s: How long that may take in all.

        Raises:
            TimeoutError: It took longer.
        """
        self._desk.leave()
        async with asyncio.timeout(grace_s):
            await self._engine.drain(None)
            await self._desk.drained()
        self._forwarding.is_closing = True

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Any) -> None:
            if message["type"] == "lifespan.startup.complete":
                await self._open()
            elif message["type"] == "lifespan.shutdown.complete":
                await self._close()
            await send(message)

        loop = asyncio.get_running_loop()
        desk, _ = self._sockets
        await loop.create_unix_connection(lambda: self._desk.line, sock=desk)
        await self._app(scope, receive, told)

    async def _open(self) -> None:
        """The engine has started: take sessions and visits."""
        self._desk.join(self._engine.recovery.nonces)
        _, door = self._sockets
        # not create_unix_server, which may remove the path at its end: the worker that comes after this one needs it
        self._visited = await asyncio.get_running_loop().create_server(
            self._door, sock=door, backlog=_MOST_VISITS_WAITING
        )

    async def _close(self) -> None:
        """The engine has stopped."""
        if self._visited is not None:
            self._visited.close()
        await self._door.aclose()
        self._desk.line.close()

    def _convey(self, codec: ServerCodec, put: Put, hang_up: HangUp) -> Conveyor:
        return Switch(codec, self._endpoint.carrier_here(codec, put, hang_up), self._neighbours, put, hang_up)
