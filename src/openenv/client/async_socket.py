"""One WebSocket to a server, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any, cast

from websockets.asyncio.client import connect
from websockets.client import ClientProtocol

from openenv.client.breaks import Break, Broken
from openenv.client.moves import Ask
from openenv.client.options import ClientOptions
from openenv.client.sockets import (
    CONNECT_ERRORS,
    Silence,
    broken,
    closed_with,
    connect_arguments,
    connect_failed,
    keep_alive,
    timed_out,
)
from openenv.client.spinning import Spin
from openenv.client.websocket import WebSocket
from openenv.protocol import Reply

__all__ = ["AsyncSocket"]

_MOST_UNTAKEN = 64
"""Messages that may wait to be taken before the server is made to wait."""

_asking: set[AsyncSocket] = set()  # where there are several, an event loop does not fall asleep anyway


class _Wire(asyncio.BufferedProtocol):
    """A WebSocket on a transport, and at most one that waits for something to happen to it."""

    transport: asyncio.Transport

    def __init__(self, protocol: ClientProtocol, max_message_bytes: int) -> None:
        self.web = WebSocket(protocol, max_message_bytes)
        self._waiter: asyncio.Future[None] | None = None
        self.is_full = self.is_parting = self._is_held = False

    # What the websockets library calls while it connects, through proxies and redirects too ----------

    async def handshake(self, headers: Mapping[str, str] | None, user_agent: str | None) -> None:
        self.web.greet(headers, user_agent)
        self.transport.write(self.web.take_unsent())
        while not self.web.is_decided:
            await self.change()
        if self.web.refused is not None:
            raise self.web.refused

    def start_keepalive(self) -> None:
        """Calls that wait send pings of their own."""

    # What the event loop calls -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # of other event loops it is none by its class

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.web.room()

    def buffer_updated(self, count: int) -> None:
        web = self.web
        web.filled(count)
        if web.unsent:
            self.transport.write(web.take_unsent())
        if not (web.is_open or self.is_parting) and web.is_decided:  # the server said goodbye, or is not understood
            web.ended()
            self.transport.close()
        if len(web.messages) > _MOST_UNTAKEN:
            self._is_held = True
            self.transport.pause_reading()
        self.wake()

    def eof_received(self) -> None:
        self.web.ended()
        self.wake()

    def connection_lost(self, error: Exception | None) -> None:
        self.web.ended()
        self.wake()

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        self.wake()

    # Waiting -------------------------------------------------------------------------------------

    def change(self) -> asyncio.Future[None]:
        """What is done once something happens."""
        if self._is_held:
            self._is_held = False
            self.transport.resume_reading()
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for something to happen."""
        return self._waiter is not None and not self._waiter.done()

    def wake(self) -> None:
        """Have who waits look again."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class AsyncSocket:
    """A connection. ``AsyncSocket.connect`` makes one."""

    def __init__(self, wire: _Wire) -> None:
        self._wire, self._web = wire, wire.web
        self._loop = asyncio.get_running_loop()
        self._spin = Spin()
        self._silence: Silence | None = None  # since when the server is silent; ``None`` before the first look
        self._silence_s = self._asked_at = 0.0
        self._look_again: asyncio.TimerHandle | None = None
        self._failure: Broken | None = None  # what ends the wait for an answer

    @staticmethod
    async def connect(options: ClientOptions, timeout_s: float) -> AsyncSocket:
        """Connect; raises ``ConnectFailed``."""

        def make(protocol: ClientProtocol, **_: Any) -> _Wire:
            return _Wire(protocol, options.max_message_bytes)

        arguments = connect_arguments(options, timeout_s) | {"create_connection": make}
        try:
            wire: Any = await connect(options.address.websocket, **arguments)
        except CONNECT_ERRORS as error:
            raise connect_failed(options, error) from error
        keep_alive(wire.transport.get_extra_info("socket"))
        return AsyncSocket(wire)

    @property
    def subprotocol(self) -> str | None:
        """What the server chose."""
        return self._web.subprotocol

    @property
    def ended(self) -> Broken | None:
        """How it ended, if it is known to be gone."""
        code = self._web.close_code
        return None if code is None else closed_with(code)

    def ask(self, move: Ask) -> Coroutine[Any, Any, Reply]:
        """Send the frame, if there is one, and wait for the answer; see ``Ask``."""
        self._check_loop()
        return self._ask(move) if move.timeout_s is None else self._ask_in_time(move, move.timeout_s)

    async def _ask_in_time(self, move: Ask, timeout_s: float) -> Reply:
        over = self._loop.call_later(timeout_s, lambda: self._fail(timed_out(timeout_s)))
        try:
            return await self._ask(move)
        finally:
            over.cancel()

    async def _ask(self, move: Ask) -> Reply:
        wire, web, take = self._wire, self._web, move.take
        messages = web.messages
        if move.frame is not None and web.is_open:  # if not, what the server said before it left is still to be read
            wire.transport.write(web.packed(move.frame))
        if move.silence_s is not None:
            self._silence, self._silence_s, self._asked_at = None, move.silence_s, self._loop.time()
            if self._look_again is None:
                self._look_again = self._loop.call_later(move.silence_s, self._look)
        self._failure = None
        _asking.add(self)
        try:
            while True:
                while messages:
                    reply = take(messages.popleft())
                    if reply is not None:
                        return reply
                if not web.is_open:
                    raise broken(web.end)
                if self._failure is not None:
                    raise self._failure
                if len(_asking) == 1 and self._spin.begins():
                    self._loop.call_soon(self._again)
                await wire.change()
        finally:
            self._failure = None
            _asking.discard(self)

    async def tell(self, frame: str | bytes, timeout_s: float) -> bool:
        """Send a frame that nobody waits to see answered; whether the connection took it in time."""
        if self._loop.is_closed():
            return False
        if self._web.is_open:
            self._wire.transport.write(self._web.packed(frame))
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._web.is_open and self._wire.is_full:
                    await self._wire.change()
        return self._web.is_open and not self._wire.is_full

    async def close(self, timeout_s: float) -> None:
        """Say goodbye."""
        self._check_loop()
        self._wire.is_parting = True
        self._web.part()
        self._wire.transport.write(self._web.take_unsent())
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._web.close_code is None:
                    await self._wire.change()

    def abort(self) -> None:
        """Hang up at once."""
        if self._look_again is not None:
            self._look_again.cancel()
        with suppress(RuntimeError):  # its event loop was closed; the connection is, when it is collected
            self._wire.transport.abort()

    def _check_loop(self) -> None:
        if self._loop.is_closed():
            raise Broken(Break.CONNECTION_LOST, "its event loop was closed")

    def _again(self) -> None:
        """Keep the event loop from falling asleep for a moment."""
        if self._spin.goes_on(is_over=not self._wire.is_awaited or len(_asking) > 1):
            self._loop.call_soon(self._again)

    def _fail(self, why: Broken) -> None:
        """End the wait for an answer, once what has come was looked at."""
        self._failure = why
        self._wire.wake()

    def _look(self) -> None:
        """See whether the server is silent, if somebody waits for it."""
        self._look_again = None
        if self not in _asking:
            return  # the next who waits looks again
        left_s = self._asked_at + self._silence_s - self._loop.time()
        if left_s <= 0:
            left_s = self._silence_s
            self._silence = self._silence or Silence(self._silence_s, self._signs)
            try:
                if self._silence.should_ping():
                    self._web.ping()
                    self._wire.transport.write(self._web.take_unsent())
            except Broken as error:
                self._fail(error)
                return
        self._look_again = self._loop.call_later(left_s, self._look)

    def _signs(self) -> tuple[int, int]:
        return self._web.heard_bytes, self._wire.transport.get_write_buffer_size()
