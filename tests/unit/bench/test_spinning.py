"""The WebSocket of the load client, against a server that is written down byte for byte."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator

import pytest
from bench.spinning import BINARY, Spinning, masked

ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Protocol: openenv.v2.json\r\n\r\n"


def open_line(answer: bytes, subprotocol: str | None) -> tuple[Spinning, socket.socket]:
    """A connection, and the server's end of it."""
    ends: list[socket.socket] = []

    def accept() -> None:
        end, _ = listener.accept()
        ends.append(end)
        while not end.recv(4096, socket.MSG_PEEK).endswith(b"\r\n\r\n"):
            pass
        end.recv(4096)
        end.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            return Spinning(listener.getsockname()[1], subprotocol), ends[0]
        except ConnectionError:
            ends[0].close()
            raise
        finally:
            thread.join()


@pytest.fixture
def line() -> Iterator[tuple[Spinning, socket.socket]]:
    client, server = open_line(ACCEPTED, "openenv.v2.json")
    with client.socket, server:
        yield client, server


def from_server(payload: bytes, kind: int = 1) -> bytes:
    frame = masked(payload, kind)
    at = len(frame) - len(payload) - 4
    return bytes((frame[0], frame[1] & 0x7F)) + frame[2:at] + payload


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 3_000_000])
def test_a_message_of_any_size_arrives_whole(line: tuple[Spinning, socket.socket], size: int) -> None:
    client, server = line
    payload = bytes(range(256)) * (size // 256 + 1)
    payload = payload[:size]
    sending = threading.Thread(target=server.sendall, args=(from_server(payload, BINARY),))
    sending.start()
    assert client.next() == payload
    sending.join()
    assert client.received() == []


def test_halves_wait_and_several_come_together(line: tuple[Spinning, socket.socket]) -> None:
    client, server = line
    first, second, third = from_server(b"one"), from_server(b"two" * 100), from_server(b"three")
    stream = first + second + third
    for at, whole in ((1, 0), (4, 0), (len(first) + 3, 1), (len(first) + 10, 1)):
        server.sendall(stream[:at])
        select.select([client.socket], [], [])
        found = client.received()
        assert len(found) <= whole  # a part of what was sent may be on its way
        server.sendall(stream[at:])
        while len(found) < 3:
            found += client.received()
        assert found == [b"one", b"two" * 100, b"three"]


def test_a_ping_is_answered_and_is_no_message(line: tuple[Spinning, socket.socket]) -> None:
    client, server = line
    server.sendall(from_server(b"alive?", 9) + from_server(b"one"))
    assert client.next() == b"one"
    assert server.recv(100) == masked(b"alive?", 10)


@pytest.mark.parametrize("frame", [from_server(b"\x03\xe8", 8), b"\x01\x03one"], ids=["close", "fragment"])
def test_what_is_no_whole_message_is_an_error(line: tuple[Spinning, socket.socket], frame: bytes) -> None:
    client, server = line
    server.sendall(frame)
    with pytest.raises(ConnectionError, match="the server sent frame"):
        client.next()


def test_a_server_that_hangs_up_is_noticed(line: tuple[Spinning, socket.socket]) -> None:
    client, server = line
    server.close()
    with pytest.raises(ConnectionError, match="closed"):
        client.next()


@pytest.mark.parametrize(
    ("answer", "subprotocol"),
    [(b"HTTP/1.1 403 Forbidden\r\n\r\n", None), (ACCEPTED, "openenv.v2.msgpack")],
    ids=["refused", "another subprotocol"],
)
def test_a_server_that_does_not_agree_is_refused(answer: bytes, subprotocol: str | None) -> None:
    with pytest.raises(ConnectionError, match="no WebSocket"):
        open_line(answer, subprotocol)
