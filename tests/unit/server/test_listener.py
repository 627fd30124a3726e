"""The listener that goes round ASGI: when it may, order and back-pressure, pings, and what it leaves behind."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.middleware.base import BaseHTTPMiddleware
from tests.unit.server.listening import REQUEST, TEXT, connected, is_to_ping
from tests.unit.server.shells import Shell, framed, raw, served
from tests.unit.session.worlds import PATIENCE_S, Move, Seen, world

from openenv.app import create_app
from openenv.server import listener_for
from openenv.server.listener_handshake import read_handshake
from openenv.server.listener_pings import Pings

CLOSE, PING = 0x88, 0x89


def app() -> Any:
    return create_app(world(), Move, Seen)


def test_it_carries_an_application_whose_sockets_nothing_stands_before() -> None:
    assert listener_for(app()) is not None
    whole = app()
    whole.get("/more")(lambda: "more")
    assert listener_for(whole) is not None


def test_what_the_application_does_before_its_sockets_is_not_left_out() -> None:
    guarded = app()
    guarded.add_middleware(BaseHTTPMiddleware)
    assert listener_for(guarded) is None
    shadowed = app()
    shadowed.websocket("/ws")(lambda: None)
    shadowed.router.routes.insert(0, shadowed.router.routes.pop())
    assert listener_for(shadowed) is None
    inner = app()

    class Wrapped:
        state = inner.state

        async def __call__(self, *_: Any) -> None: ...

    assert listener_for(Wrapped()) is None
    assert listener_for(Wrapped().__call__) is None


def test_without_picows_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openenv.server.listener.find_spec", lambda _: None)
    assert listener_for(app()) is None


@pytest.mark.parametrize(("shell", "warnings"), [("auto", 1), ("asgi", 0)])
def test_with_a_picows_that_cannot_it_goes_the_other_way(
    shell: Shell, warnings: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "openenv.server.listener_picows", None)  # its import fails
    with caplog.at_level(logging.WARNING), served(app(), shell) as server:
        for _ in range(2):
            with raw(server) as client:
                client.send(TEXT, '{"type":"reset"}')
                assert client.receive()[0] == TEXT
    assert caplog.text.count("the slower way") == warnings


def test_what_is_no_tcp_is_left_to_uvicorn() -> None:
    handshake = read_handshake(REQUEST)
    assert handshake is not None
    listener = listener_for(app())
    assert listener is not None
    with socket.socket(socket.AF_UNIX) as other:
        transport: Any = SimpleNamespace(get_extra_info=lambda name: other if name == "socket" else None)
        assert listener.accepted(handshake, transport, SimpleNamespace(ws_ping_interval=None), None) is None


def test_a_handshake_is_read_as_it_was_meant() -> None:
    more = b"sec-websocket-protocol: a , b\r\nsec-websocket-protocol: c\r\n\r\n"
    read = read_handshake(REQUEST.removesuffix(b"\r\n") + more)
    assert read is not None
    assert (read.path, read.subprotocols) == ("/ws", ["a", "b", "c"])
    assert (b"host", b"here") in read.headers
    again = read_handshake(read.plainly())
    assert again is not None
    assert (again.path, again.key) == (read.path, read.key)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"GET", b"POST"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"WebSocket", b"h2c"),
        (b"keep-alive, Upgrade", b"keep-alive"),
        (b": 13", b": 8"),
        (b"\r\n\r\n", b"\r\nsec-websocket-version: 13\r\n\r\n"),
        (b"dGhl", b""),
        (b"dGhl", b"d G"),
        (b"\r\n\r\n", b"\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
        (b"\r\n\r\n", b"\r\ncontent-length: 3\r\n\r\n"),
        (b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n"),
    ],
)
def test_a_handshake_with_a_flaw_is_somebody_elses(before: bytes, after: bytes) -> None:
    assert read_handshake(REQUEST) is not None
    assert read_handshake(REQUEST.replace(before, after)) is None


async def test_pings_come_again_and_again_until_nobody_is_left() -> None:
    pings, first, second = Pings(0.001), asyncio.Queue[str](), asyncio.Queue[str]()
    pings.add(1, lambda: first.put_nowait("ping"))
    pings.add(2, lambda: second.put_nowait("ping"))
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(3):
            await first.get()
            await second.get()
        pings.discard(1)
        pings.discard(1)
        while not first.empty():
            first.get_nowait()
        for _ in range(3):
            await second.get()
        assert first.empty()
    pings.discard(2)
    assert not is_to_ping()


async def test_messages_wait_for_the_greeting_and_for_each_other() -> None:
    async with connected() as client:
        client.send("a", "b")
        assert client.script.scope["subprotocols"] == []
        await client.until_held()
        client.script.gate.set()
        await client.script.until("b")
        assert client.script.said == ["greeted", "a", "b"]
        client.script.gate.clear()
        client.send("wait", "c")
        await client.script.until("wait")
        client.send("d")
        await client.until_held()
        client.script.gate.set()
        await client.script.until("d")
        assert client.script.said[3:] == ["wait", "waited", "c", "d"]


async def test_what_was_sent_before_the_end_is_done_before_the_end() -> None:
    async with connected() as client:
        client.script.gate.set()
        await client.script.until("greeted")
        client.script.gate.clear()
        client.writer.write(framed(TEXT, "wait") + framed(TEXT, "a") + framed(CLOSE, b"\x03\xe8"))
        assert await client.receive() == (CLOSE, b"\x03\xe8")  # at once
        assert "left" not in client.script.said
        client.script.gate.set()
        await client.script.until("left")
        assert client.script.said[1:] == ["wait", "waited", "a", "left"]


async def test_nothing_is_taken_for_a_client_that_does_not_read() -> None:
    async with connected() as client:
        client.script.gate.set()
        for _ in range(40):  # more than all buffers in between hold
            client.send("much")
        await client.writer.drain()
        await client.script.until("much")
        seen = -1
        while seen < client.script.said.count("much"):  # until a round of the loop brings no more
            seen = client.script.said.count("much")
            for _ in range(20):
                await asyncio.sleep(0)
        assert seen < 30
        for _ in range(40):
            first, payload = await client.receive()
            assert (first, len(payload)) == (TEXT, 1 << 20)
        assert client.script.said.count("much") == 40


async def test_nothing_is_taken_either_when_it_does_not_read_what_it_never_asked_for() -> None:
    async with connected() as client:
        client.script.gate.set()
        await client.script.until("greeted")
        sent, waits = 0, None
        while waits is None:
            waits, sent = client.script.put("x" * (1 << 20)), sent + 1
        client.send("a")
        await client.until_held()
        assert "a" not in client.script.said
        for _ in range(sent):
            await client.receive()
        await waits
        await client.script.until("a")


async def test_a_client_that_never_reads_and_goes_leaves_nothing_waiting() -> None:
    async with connected() as client:
        client.script.gate.set()
        await client.script.until("greeted")
        while (waits := client.script.put("x" * (1 << 20))) is None:
            pass
        client.send("a")
        await client.until_held()
        client.writer.transport.abort()
        await waits
        await client.script.until("left")


@pytest.mark.parametrize("how", ["fail", "wait and fail"])
async def test_a_fault_ends_the_connection_and_is_logged(how: str, caplog: pytest.LogCaptureFixture) -> None:
    async with connected() as client:
        client.script.gate.set()
        client.send(how)
        assert await client.receive() == (CLOSE, b"\x03\xf3")
        await client.script.until("left")
    assert "a fault of the server" in caplog.text


async def test_after_hanging_up_nothing_is_taken_and_nothing_sent() -> None:
    async with connected() as client:
        client.send("end", "a")
        await client.until_held()
        client.script.gate.set()
        assert await client.receive() == (CLOSE, b"\x03\xe8")
        assert client.script.put("late") is None
        client.send("b")
        client.writer.write(framed(CLOSE, b"\x03\xe8"))
        assert await client.reader.read() == b""
        await client.script.until("left")
        assert client.script.said == ["greeted", "end", "left"]


async def test_after_the_clients_close_nothing_is_sent() -> None:
    async with connected() as client:
        client.script.gate.set()
        await client.script.until("greeted")
        client.writer.write(framed(TEXT, "late") + framed(CLOSE))
        assert await client.receive() == (CLOSE, b"")
        assert await client.reader.read() == b""
        assert "late" in client.script.said


async def test_it_is_pinged_without_having_to_answer() -> None:
    async with connected(ping_s=0.001) as client:
        client.script.gate.set()
        for _ in range(3):
            assert await client.receive() == (PING, b"")
        assert is_to_ping()


async def test_the_end_of_the_server_does_not_wait_for_who_does_not_say_goodbye() -> None:
    async with connected() as client:
        client.script.gate.set()
        client.send("end")
        assert await client.receive() == (CLOSE, b"\x03\xe8")
        (line,) = client.state.connections
        line.shutdown()
        assert await client.reader.read() == b""


async def test_the_end_of_the_server_is_said_once() -> None:
    async with connected() as client:
        client.script.gate.set()
        (line,) = client.state.connections
        line.shutdown()
        line.shutdown()
        assert await client.receive() == (CLOSE, b"\x03\xf4")
        assert await client.reader.read() == b""
