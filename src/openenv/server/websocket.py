"""The WebSocket endpoint as a raw ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from openenv.protocol import Hello, ServerCodec, server_codec
from openenv.server.carrier import Carrier, Frame, HangUp, NewPeer, Put
from openenv.server.conveyor import Conveyor
from openenv.server.exposure import Exposure

__all__ = ["WebSocketEndpoint"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class WebSocketEndpoint:
    """A raw ASGI application for one path.

    Args:
        new_peer: Makes the peer that answers a connection's requests, from its codec and a way to send frames.
        greeting: Makes the first frame of protocol v2.
        exposure: Is told of every connection.
        plain: Whether the environment's values are plain JSON, which then is the best form.

    Attributes:
        path: Where it is served.
        app: The application that serves it.
        convey: Makes what handles a connection's frames: ``carrier_here``, unless others are to handle some of them.
    """

    path = "/ws"
    app: object = None

    def __init__(self, new_peer: NewPeer, greeting: Callable[[], Hello], exposure: Exposure, *, plain: bool) -> None:
        self._new_peer = new_peer
        self._greeting = greeting
        self._exposure = exposure
        self._plain = plain
        self.convey: Callable[[ServerCodec, Put, HangUp], Conveyor] = self.carrier_here

    def carrier(self, scope: Message, put: Put, hang_up: HangUp) -> tuple[Conveyor, str | None]:
        """What handles the frames of a new connection, and the subprotocol to accept it with.

        Args:
            scope: The ASGI scope of its handshake.
            put: Sends a frame.
            hang_up: Ends it in good order.
        """
        self._exposure.reached(scope)
        codec = server_codec(scope["subprotocols"], plain=self._plain)
        return self.convey(codec, put, hang_up), codec.subprotocol

    def carrier_here(self, codec: ServerCodec, put: Put, hang_up: HangUp) -> Carrier:
        """What handles frames with the sessions of this process."""
        return Carrier(codec, self._new_peer, self._greeting, put, hang_up)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Carry one connection from its handshake to its end."""
        out = _Out(send)
        carrier, subprotocol = self.carrier(scope, out.put, out.hang_up)
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "subprotocol": subprotocol})
        carrying = _carry(carrier, receive)
        # A task of its own is resumed alone at each message; here, all middlewares above would be resumed with it.
        await (asyncio.create_task(carrying) if "app" in scope else carrying)


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
