"""The WebSocket endpoint: a pump between the socket and the sessions of one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from openenv.errors import MessageTooLarge, OpenEnvError
from openenv.protocol import Close, Hello, ServerCodec, server_codec
from openenv.server.exposure import Exposure
from openenv.session import Peer

__all__ = ["WebSocketEndpoint"]

_MOST_UNANSWERED = 4096
"""Requests of one connection that may be under way before no more are read."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Frame = str | bytes


class WebSocketEndpoint:
    """A raw ASGI application for one path.

    Args:
        new_peer: Makes the peer that answers a connection's requests, from its codec and a way to send frames.
        greeting: Makes the first frame of protocol v2.
        exposure: Is told of every connection.
        plain: Whether the environment's values are plain JSON, which then is the best form.
    """

    def __init__(
        self,
        new_peer: Callable[[ServerCodec, Callable[[Frame], Awaitable[None]]], Peer],
        greeting: Callable[[], Hello],
        exposure: Exposure,
        *,
        plain: bool,
    ) -> None:
        self._new_peer = new_peer
        self._greeting = greeting
        self._exposure = exposure
        self._plain = plain

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Carry one connection from its handshake to its end."""
        self._exposure.reached(scope)
        codec, hello = server_codec(scope["subprotocols"], plain=self._plain), self._greeting()
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "subprotocol": codec.subprotocol})
        pump = _Pump(codec, self._new_peer, send, hello.limits.max_message_bytes)
        # A task of its own is resumed alone at each message; here, all middlewares above would be resumed with it.
        await asyncio.create_task(pump.carry(hello, receive))


class _Pump:
    def __init__(
        self,
        codec: ServerCodec,
        new_peer: Callable[[ServerCodec, Callable[[Frame], Awaitable[None]]], Peer],
        send: Send,
        max_message_bytes: int,
    ) -> None:
        self._codec, self._send = codec, send
        self._peer = new_peer(codec, self._put)
        self._max_message_bytes = max_message_bytes
        self._in_order = codec.subprotocol is None
        self._tasks: set[asyncio.Task[None]] = set()

    async def carry(self, hello: Hello, receive: Receive) -> None:
        try:
            if await self._greet(hello):
                await self._run(receive)
        finally:
            # together: a slow session must not keep the others of this connection from being let go
            await asyncio.gather(self._peer.leave(), *self._tasks, return_exceptions=True)

    async def _greet(self, hello: Hello) -> bool:
        if not self._in_order:
            await self._put(self._codec.encode(hello))
            return True
        refused = await self._peer.open_only()
        if refused is not None:
            await self._put(refused)
            await self._send({"type": "websocket.close", "code": 1000})
        return refused is None

    async def _run(self, receive: Receive) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            frame = message.get("text") or message.get("bytes") or ""
            try:
                size = len(frame) if isinstance(frame, bytes) or frame.isascii() else len(frame.encode())
                if size > self._max_message_bytes:
                    raise MessageTooLarge(f"{size} bytes; at most {self._max_message_bytes} are taken")
                request = self._codec.decode(frame)
            except OpenEnvError as error:
                answer, at_once = self._peer.refuse(error), False
            else:
                if self._in_order and isinstance(request, Close):
                    await self._peer.leave()  # first: who sees the close may come back at once and need the place
                    await self._send({"type": "websocket.close", "code": 1000})
                    return
                answer, at_once = self._peer.answer(request), self._peer.answers_at_once(request)
            if self._in_order or (at_once and not self._tasks):
                await self._put(await answer)
            else:
                task = asyncio.create_task(self._answer(answer))
                self._tasks.add(task)
                task.add_done_callback(self._answered)
                if len(self._tasks) >= _MOST_UNANSWERED:
                    await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # the socket was gone; receive tells that too

    async def _answer(self, answer: Awaitable[Frame | None]) -> None:
        await self._put(await answer)

    async def _put(self, frame: Frame | None) -> None:
        if isinstance(frame, str):
            await self._send({"type": "websocket.send", "text": frame})
        elif frame is not None:
            await self._send({"type": "websocket.send", "bytes": frame})
