"""A listener in the test's own loop, driven as uvicorn does it, over a carrier that does what messages say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from tests.unit.server.shells import framed
from tests.unit.session.worlds import PATIENCE_S

from openenv.server.listener import Listener

TEXT = 0x81
REQUEST = (
    b"GET /ws?x=1 HTTP/1.1\r\nhost: here\r\nupgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def is_to_ping() -> bool:
    """Whether a ping is due some time in this loop."""
    timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return any("Pings" in repr(timer) for timer in timers if not timer.cancelled())


class Script:
    """Stands for a carrier: says what came, and waits, fails or hangs up where a message tells it to.

    Attributes:
        path: As of the endpoint that it stands for too.
    """

    path = "/ws"

    def __init__(self) -> None:
        self.said: list[str | bytes] = []
        self.changed = asyncio.Event()
        self.gate = asyncio.Event()
        self.put: Any = None
        self.hang_up: Any = None

    def refused(self, scope: Any) -> None:
        """Everybody is let in."""

    def carrier(self, scope: dict[str, Any], put: Any, hang_up: Any) -> tuple[Script, None]:
        self.scope, self.put, self.hang_up = scope, put, hang_up
        return self, None

    def say(self, what: str | bytes) -> None:
        self.said.append(what)
        self.changed.set()

    async def greet(self) -> bool:
        await self.gate.wait()
        self.say("greeted")
        return True

    def take(self, frame: str | bytes) -> Awaitable[None] | None:
        self.say(frame)
        match frame:
            case "fail":
                raise ValueError("a fault of the server")
            case "wait" | "wait and fail":
                return self._waits(frame)
            case "much":
                return self.put("x" * (1 << 20))  # type: ignore[no-any-return]
            case "end":
                self.hang_up()
            case "late":
                return self._puts_later()
        return None

    async def _waits(self, frame: str) -> None:
        await self.gate.wait()
        self.say("waited")
        if frame != "wait":
            raise ValueError("a fault of the server")

    async def _puts_later(self) -> None:
        self.put("late")

    async def leave(self) -> None:
        self.say("left")

    async def until(self, what: str, times: int = 1) -> None:
        """Wait until it has said that so often."""
        async with asyncio.timeout(PATIENCE_S):
            while self.said.count(what) < times:
                self.changed.clear()
                await self.changed.wait()


class Client:
    """One connection to a listener in this loop, whose handshake is done."""

    def __init__(self, script: Script, state: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.script, self.state, self.reader, self.writer = script, state, reader, writer

    def send(self, *texts: str) -> None:
        self.writer.write(b"".join(framed(TEXT, text) for text in texts))

    async def until_held(self) -> None:
        """Wait until no more is read from this client."""
        async with asyncio.timeout(PATIENCE_S):
            await self.state.held.wait()
        self.state.held.clear()

    async def receive(self) -> tuple[int, bytes]:
        async with asyncio.timeout(PATIENCE_S):
            first, size = await self.reader.readexactly(2)
            if size == 127:
                size = int.from_bytes(await self.reader.readexactly(8), "big")
            return first, await self.reader.readexactly(size)


@asynccontextmanager
async def connected(ping_s: float | None = None) -> AsyncIterator[Client]:
    """A listener over a script, the way uvicorn uses it, and a client of it; nothing of it may be left."""
    script = Script()
    listener = Listener(script)  # type: ignore[arg-type]
    config = SimpleNamespace(ws_max_size=1 << 16, ws_ping_interval=ping_s)
    state = SimpleNamespace(connections=set(), tasks=set(), default_headers=[], held=asyncio.Event())

    class Http(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport
            pause = self.transport.pause_reading

            def paused() -> None:
                pause()
                state.held.set()

            self.transport.pause_reading = paused

        def data_received(self, data: bytes) -> None:
            protocol = listener(config=config, server_state=state, app_state={})
            protocol.connection_made(self.transport)
            protocol.data_received(data)
            self.transport.set_protocol(protocol)

    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    server = await loop.create_server(Http, "127.0.0.1", 0)
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(REQUEST)
        assert b"101" in await reader.readuntil(b"\r\n\r\n")
    try:
        yield Client(script, state, reader, writer)
    finally:
        script.gate.set()
        writer.close()
        await script.until("left")
        server.close()
        await asyncio.gather(*state.tasks)
    assert (state.connections, script.said.count("left")) == (set(), 1)
    assert asyncio.all_tasks() <= before
    assert not is_to_ping()
