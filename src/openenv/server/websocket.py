"""The WebSocket endpoint as a raw ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from openenv.errors import AccessDenied, OpenEnvError, SessionNotFound
from openenv.protocol import Failed, Hello, ServerCodec, server_codec
from openenv.server.access import Access
from openenv.server.answers import refusal
from openenv.server.carrier import Carrier, Frame, HangUp, NewPeer, Put
from openenv.server.conveyor import Conveyor

__all__ = ["McpSocket", "WebSocketEndpoint", "refuse"]

_TURNS = 4
"""Of the event loop, after which a refused connection has ended. uvicorn logs an error of who returns before."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class WebSocketEndpoint:
    """A raw ASGI application for one path.

    Args:
        new_peer: Makes the peer that answers a connection's requests, from its codec and a way to send frames.
        greeting: Makes the first frame of protocol v2.
        access: Lets connections in.
        plain: Whether the environment's values are plain JSON, which then is the best form.

    Attributes:
        path: Where it is served.
        app: The application that serves it.
        convey: Makes what handles a connection's frames: ``carrier_here``, unless others are to handle some of them.
    """

    path = "/ws"
    app: object = None

    def __init__(self, new_peer: NewPeer, greeting: Callable[[], Hello], access: Access, *, plain: bool) -> None:
        self._new_peer = new_peer
        self._greeting = greeting
        self._access = access
        self._plain = plain
        self.convey: Callable[[ServerCodec, Put, HangUp], Conveyor] = self.carrier_here

    def refused(self, scope: Message) -> OpenEnvError | None:
        """Why a handshake is not to be accepted; ``None`` if it is.

        Args:
            scope: Its ASGI scope.
        """
        if self._access.production:
            return SessionNotFound("there are no sessions here to control; this server speaks MCP alone")
        try:
            self._access.check(scope, "connect")
        except AccessDenied as error:
            return error
        return None

    def carrier(self, scope: Message, put: Put, hang_up: HangUp) -> tuple[Conveyor, str | None]:
        """What handles the frames of a new connection, and the subprotocol to accept it with.

        Args:
            scope: The ASGI scope of its handshake, which is not ``refused``.
            put: Sends a frame.
            hang_up: Ends it in good order.
        """
        codec = server_codec(scope["subprotocols"], plain=self._plain)
        return self.convey(codec, put, hang_up), codec.subprotocol

    def carrier_here(self, codec: ServerCodec, put: Put, hang_up: HangUp) -> Carrier:
        """What handles frames with the sessions of this process."""
        return Carrier(codec, self._new_peer, self._greeting, put, hang_up)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Carry one connection from its handshake to its end."""
        error = self.refused(scope)
        if error is not None:
            await receive()  # websocket.connect
            await refuse(scope, send, error)
            return
        out = _Out(send)
        carrier, subprotocol = self.carrier(scope, out.put, out.hang_up)
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "subprotocol": subprotocol})
        carrying = _carry(carrier, receive)
        # A task of its own is resumed alone at each message; here, all middlewares above would be resumed with it.
        await (asyncio.create_task(carrying) if "app" in scope else carrying)


class McpSocket:
    """The WebSocket on which older clients speak to tools: a raw ASGI application.

    Args:
        serve: Serves a connection that is let in.
        access: Lets connections in.
    """

    def __init__(self, serve: Callable[[Message, Receive, Send], Awaitable[None]], access: Access) -> None:
        self._serve = serve
        self._access = access

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Carry one connection from its handshake to its end."""
        try:
            if self._access.production:
                self._access.admit_mcp(scope, None)
            else:  # it opens a session and begins an episode
                self._access.check(scope, "converse")
        except AccessDenied as error:
            await receive()  # websocket.connect
            await refuse(scope, send, error)
            return
        await self._serve(scope, receive, send)


async def refuse(scope: Message, send: Send, error: OpenEnvError) -> None:
    """Answer a handshake with an error of HTTP, or just so, where the server that runs this cannot."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    answer = refusal(Failed.of(error))
    headers = [
        *answer.headers,
        (b"content-length", b"%d" % len(answer.body)),
        (b"content-type", b"application/json"),
    ]
    await send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": answer.body})
    for _ in range(_TURNS):
        await asyncio.sleep(0)


class _Out:
    __slots__ = ("_send",)

    def __init__(self, send: Send) -> None:
        self._send = send

    def put(self, frame: Frame) -> Awaitable[None]:
        return self._send({"type": "websocket.send", "text" if isinstance(frame, str) else "bytes": frame})

    def hang_up(self) -> Awaitable[None]:
        return self._send({"type": "websocket.close", "code": 1000})


async def _carry(carrier: Conveyor, receive: Receive) -> None:
    try:
        if await carrier.greet():
            while (message := await receive())["type"] == "websocket.receive":
                under_way = carrier.take(message.get("text") or message.get("bytes") or "")
                if under_way is not None:
                    await under_way
    finally:
        await carrier.leave()
