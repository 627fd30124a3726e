"""The WebSocket endpoint: a pump between the socket and the sessions of one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from openenv.errors import MessageTooLarge, OpenEnvError
from openenv.protocol import Close, Failed, Hello, Reply, Request, ServerCodec, server_codec
from openenv.session import Peer

__all__ = ["WebSocketEndpoint"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class WebSocketEndpoint:
    """A raw ASGI application for one path.

    Args:
        new_peer: Makes the peer that answers a connection's requests.
        greeting: Makes the first frame of protocol v2.
    """

    def __init__(self, new_peer: Callable[[], Peer], greeting: Callable[[], Hello]) -> None:
        self._new_peer = new_peer
        self._greeting = greeting

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Carry one connection from its handshake to its end."""
        codec, peer, hello = server_codec(scope["subprotocols"]), self._new_peer(), self._greeting()
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "subprotocol": codec.subprotocol})
        pump = _Pump(codec, peer, send, hello.limits.max_message_bytes)
        try:
            if await pump.greet(hello):
                await pump.run(receive)
        finally:
            await pump.drain()
            await peer.leave()


class _Pump:
    def __init__(self, codec: ServerCodec, peer: Peer, send: Send, max_message_bytes: int) -> None:
        self._codec, self._peer, self._send = codec, peer, send
        self._max_message_bytes = max_message_bytes
        self._in_order = codec.subprotocol is None
        self._tasks: set[asyncio.Task[None]] = set()

    async def greet(self, hello: Hello) -> bool:
        if not self._in_order:
            await self._put(hello)
            return True
        refused = await self._peer.open_only()
        if refused is not None:
            await self._put(refused)
            await self._send({"type": "websocket.close", "code": 1000})
        return refused is None

    async def run(self, receive: Receive) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            frame = message.get("text") or message.get("bytes") or ""
            try:
                if len(frame) > self._max_message_bytes:
                    raise MessageTooLarge(f"{len(frame)} bytes; at most {self._max_message_bytes} are taken")
                request = self._codec.decode(frame)
            except OpenEnvError as error:
                await self._put(Failed.of(error))
                continue
            if self._in_order and isinstance(request, Close):
                await self._send({"type": "websocket.close", "code": 1000})
                return
            if self._in_order or (not self._tasks and self._peer.answers_at_once(request)):
                await self._answer(request)
            else:
                task = asyncio.create_task(self._answer(request))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)  # their sockets may be gone; the steps have run

    async def _answer(self, request: Request) -> None:
        await self._put(await self._peer.answer(request))

    async def _put(self, reply: Reply) -> None:
        frame = self._codec.encode(reply)
        if frame is not None:
            await self._send({"type": "websocket.send", "text": frame})
