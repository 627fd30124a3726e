"""What a WebSocket does, however it is carried: messages in pieces, what is no message, closes, and the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import WebSocket
from tests.unit.server.serving import V2, Running, V1Line
from tests.unit.server.shells import SHELLS, Shell, framed, raw, served
from tests.unit.session.worlds import PATIENCE_S, Move, Seen, threads_left, world

from openenv.app import create_app

LIMIT = 4096
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x81, 0x82, 0x80, 0x88, 0x89, 0x8A
NOT_LAST = 0x7F  # takes the final bit
STEP = '{"type":"step","data":{"how":"ok"}}'


@pytest.fixture(scope="module", params=SHELLS)
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """Both ways; the class has room for all that a test leaves open."""
    with served(create_app(world(), Move, Seen, "world", 64, max_message_bytes=LIMIT), request.param) as running:
        yield running
        running.wait_idle()
    assert not threads_left()


def value(message: tuple[int, bytes]) -> Any:
    first, payload = message
    assert first == TEXT, (first, payload)
    return json.loads(payload)["data"]["observation"]["value"]


def reset(client: Any) -> None:
    client.send(TEXT, '{"type":"reset","data":{}}')
    assert value(client.receive()) == 0


@pytest.mark.parametrize("first", [TEXT, BINARY])
def test_a_message_in_pieces_is_one(server: Running, first: int) -> None:
    text = '{"type":"step","data":{"how":"ok"},"x":"\u00e9"}'.encode()
    middle = text.index(b"\xc3") + 1  # within a character
    with raw(server) as client:
        reset(client)
        client.send(first & NOT_LAST, text[:5])
        client.send(PING, b"are you there")
        assert client.receive() == (PONG, b"are you there")
        client.send(CONTINUATION & NOT_LAST, text[5:middle])
        client.send(CONTINUATION & NOT_LAST)
        client.send(CONTINUATION, text[middle:])
        assert value(client.receive()) == 1


def test_many_messages_at_once_are_answered_in_order(server: Running) -> None:
    with raw(server) as client:
        reset(client)
        client.socket.sendall(framed(TEXT, STEP) * 100)
        assert [value(client.receive()) for _ in range(100)] == list(range(1, 101))


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(TEXT, b'{"type":"\xc3\x28"}')], 1007),
        ([(TEXT & NOT_LAST, b'"\xc3'), (CONTINUATION, b'"')], 1007),
        ([(TEXT | 0x40, STEP)], 1002),
        ([(BINARY | 0x10, STEP)], 1002),
        ([(0x83, STEP)], 1002),
        ([(CONTINUATION, STEP)], 1002),
        ([(TEXT & NOT_LAST, STEP), (TEXT, STEP)], 1002),
        ([(TEXT & NOT_LAST, STEP), (BINARY & NOT_LAST, STEP)], 1002),
        ([(PING & NOT_LAST, b"")], 1002),
        ([(TEXT, "x" * (4 * LIMIT + 1))], 1009),
        ([(TEXT & NOT_LAST, "x" * (3 * LIMIT)), (CONTINUATION & NOT_LAST, "x" * (LIMIT + 1))], 1009),
        ([(CLOSE, b"\x03\xed")], 1002),  # 1005 and 1006 are for the absence of a code
        ([(CLOSE, b"\x03\xee")], 1002),
        ([(CLOSE, b"\0\0")], 1002),
        ([(CLOSE, b"\x13\x88")], 1002),
        ([(CLOSE, b"\x03")], 1002),
        ([(CLOSE, b"\x03\xe8\xff")], 1007),
    ],
)
def test_what_is_no_message_ends_the_connection(server: Running, frames: list[Any], code: int) -> None:
    with raw(server) as client:
        reset(client)
        client.socket.sendall(b"".join(framed(*frame) for frame in frames))
        assert client.closed_with() == code
        assert client.is_at_end()


def test_a_frame_without_a_mask_ends_the_connection(server: Running) -> None:
    with raw(server) as client:
        client.send(TEXT, STEP, masked=False)
        assert client.closed_with() == 1002


def test_a_message_over_the_limit_of_the_application_gets_an_error_and_nothing_else(server: Running) -> None:
    with raw(server) as client:
        reset(client)
        for size in (LIMIT + 1, 4 * LIMIT):
            client.send(TEXT, "x" * size)
            assert b"MESSAGE_TOO_LARGE" in client.receive()[1]
        client.send(TEXT, STEP)
        assert value(client.receive()) == 1


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe9going away", b"\x0f\xa0mine"])
def test_a_close_is_answered_alike(server: Running, payload: bytes) -> None:
    with raw(server) as client:
        client.socket.sendall(framed(TEXT, '{"type":"reset"}') + framed(CLOSE, payload) + framed(TEXT, STEP))
        if (answer := client.receive())[0] == TEXT:  # the class may not be proven fast yet
            answer = client.receive()
        assert answer == (CLOSE, payload)
        assert client.is_at_end()


def test_who_says_goodbye_in_the_protocol_is_closed_and_frees_the_place(server: Running) -> None:
    with raw(server) as client:
        reset(client)
        client.socket.sendall(framed(TEXT, '{"type":"close"}') + framed(TEXT, STEP))
        assert client.closed_with() == 1000
        client.send(CLOSE, b"\x03\xe8")
        assert client.is_at_end()


@pytest.mark.parametrize("offered", ["", "unknown, openenv.v2.json", "openenv.v2.msgpack,  openenv.v2.json"])
def test_the_subprotocol_is_agreed_on(server: Running, offered: str) -> None:
    with raw(server, more=f"Sec-WebSocket-Protocol: {offered}\r\n" if offered else "") as client:
        first = client.answer.splitlines()[0]
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in client.answer.split("\r\n"))
        }
        assert first == "HTTP/1.1 101 Switching Protocols"
        assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert headers["server"] == "uvicorn"
        if offered:
            assert headers["sec-websocket-protocol"].startswith("openenv.v2.")
            assert b"hello" in client.receive()[1]
        else:
            assert "sec-websocket-protocol" not in headers


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"key": "short"}, "400"),
        ({"more": "Sec-WebSocket-Version: 12\r\n"}, "400"),
        ({"path": "/elsewhere"}, "403"),
    ],
)
def test_a_handshake_with_a_flaw_is_refused(server: Running, changes: dict[str, str], status: str) -> None:
    with raw(server, **changes) as client:
        assert client.answer.split()[1] == status


@pytest.mark.parametrize("shell", SHELLS)
def test_paths_of_its_author_are_served_too(shell: Shell) -> None:
    app = create_app(world(), Move, Seen)

    @app.websocket("/theirs")
    async def theirs(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close(4001)

    with served(app, shell) as server, raw(server, "/theirs?x=1") as client, raw(server, "/ws?x=1") as own:
        client.send(TEXT, "mirror")
        assert client.receive() == (TEXT, b"mirror")
        assert client.closed_with() == 4001
        reset(own)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_end_of_the_server_is_said_to_all(shell: Shell) -> None:
    cls = world()
    with served(create_app(cls, Move, Seen, "world", 4), shell) as server:
        clients = [server.connect(V2).__enter__(), server.connect().__enter__()]
        assert "hello" in str(clients[0].recv(PATIENCE_S))
        clients[1].send('{"type":"reset"}')
        clients[1].recv(PATIENCE_S)
    for client in clients:
        with pytest.raises(Exception, match="1012"):
            client.recv(PATIENCE_S)
        client.close()
    cls.ledger.check_closed_once()
    assert not threads_left()


@pytest.mark.parametrize("shell", SHELLS)
def test_who_leaves_while_it_runs_frees_the_place_when_it_has_run(shell: Shell) -> None:
    cls = world()
    with served(create_app(cls, Move, Seen, "world", 1), shell) as server:
        line = V1Line(server)
        line.reset()
        line.start_step(how="wait")
        cls.ledger.wait("waiting")
        line.vanish()
        assert server.active() == 1
        cls.ledger.gate.set()
        server.wait_idle()
        again = V1Line(server)
        assert again.reset().value == 0
        again.close()
        server.wait_idle()
    cls.ledger.check_closed_once()
    assert not threads_left()
