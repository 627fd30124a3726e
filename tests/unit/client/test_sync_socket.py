"""A blocking connection, its other end in the hands of the test."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.unit.client.frames import connected, framed
from tests.unit.client.servers import WAIT_S, in_background
from websockets.frames import Frame, Opcode

from openenv.client.breaks import Break, Broken
from openenv.client.moves import Ask
from openenv.client.sync_socket import SyncSocket
from openenv.protocol import Closed, Reply

LARGE = b"x" * 10_000_000  # more than any socket buffers


class Far:
    """The server's end of a connection."""

    def __init__(self, near: Callable[[socket.socket], Any] = lambda near: near) -> None:
        self.near, self.line = socket.socketpair()
        self.line.settimeout(WAIT_S)
        web, self._protocol = connected(limit=2 * len(LARGE))
        self.client = SyncSocket(near(self.near), web)
        self.heard: list[tuple[Opcode, bytes]] = []

    def send(self, *parts: bytes) -> None:
        self.line.sendall(b"".join(parts))

    def hear(self) -> tuple[Opcode, bytes]:
        """The next frame of the client."""
        while not self.heard:
            self._protocol.receive_data(self.line.recv(1 << 20))
            frames = [one for one in self._protocol.events_received() if isinstance(one, Frame)]
            self.heard += [(one.opcode, bytes(one.data)) for one in frames]
        return self.heard.pop(0)

    def end(self) -> None:
        self.client.abort()
        assert self.near.fileno() == -1
        self.line.close()


@pytest.fixture
def far() -> Iterator[Far]:
    made = Far()
    yield made
    made.end()


def said(message: str | bytes) -> Reply | None:
    """What a conversation reads in a message: nothing in a notice."""
    return None if message == b"notice" else Closed(session=str(message))


def ask(far: Far, frame: bytes | None = None, timeout_s: float | None = None, silence_s: float | None = None) -> str:
    return far.client.ask(Ask(frame, said, timeout_s, silence_s)).session


def test_each_answer_is_taken_once_though_several_come_together(far: Far) -> None:
    far.send(
        framed(0x82, b"notice"), framed(0x82, b"1"), framed(0x89, b"hi"), framed(0x81, b"2"), framed(0x82, b"3")[:2]
    )
    assert ask(far, b"question") == "b'1'"
    assert far.hear() == (Opcode.BINARY, b"question")
    assert ask(far) == "2"
    asked = in_background(lambda: ask(far))
    assert far.hear() == (Opcode.PONG, b"hi")
    far.send(b"3")
    assert asked.result(WAIT_S) == "b'3'"


def test_a_large_message_each_way(far: Far) -> None:
    asked = in_background(lambda: far.client.ask(Ask(LARGE, lambda got: Closed(session=str(len(got))))).session)
    assert far.hear() == (Opcode.BINARY, LARGE)
    far.send(framed(0x82, LARGE))
    assert asked.result(WAIT_S) == str(len(LARGE))


def test_what_the_server_said_before_it_left_is_read_first(far: Far) -> None:
    far.send(framed(0x82, b"last"), framed(0x88, (1012).to_bytes(2)))
    far.line.shutdown(socket.SHUT_WR)
    assert ask(far, b"question") == "b'last'"
    with pytest.raises(Broken) as caught:
        ask(far, b"another")
    assert caught.value.why is Break.SERVER_STOPPED
    assert far.hear() == (Opcode.BINARY, b"question")
    assert far.hear()[0] is Opcode.CLOSE
    assert not far.client.tell(b"late", WAIT_S)
    ended = far.client.ended
    assert ended is not None
    assert ended.why is Break.SERVER_STOPPED


def test_it_is_read_though_the_end_is_known(far: Far) -> None:
    far.send(framed(0x82, b"last"), framed(0x88, (1012).to_bytes(2)))
    assert far.client.ended is not None
    assert ask(far, b"question") == "b'last'"


def test_a_look_sees_an_end_and_answers_pings_without_a_call(far: Far) -> None:
    assert far.client.ended is None
    far.send(framed(0x89, b"there?"))
    far.client.look(only_if_idle=True)
    assert far.hear() == (Opcode.PONG, b"there?")
    far.line.shutdown(socket.SHUT_WR)
    ended = far.client.ended
    assert ended is not None
    assert ended.why is Break.CONNECTION_LOST


def test_a_look_keeps_out_of_a_call(far: Far) -> None:
    asked = in_background(lambda: ask(far, b"question"))
    assert far.hear() == (Opcode.BINARY, b"question")  # it has begun
    far.client.look(only_if_idle=True)
    far.send(framed(0x82, b"answer"))
    assert asked.result(WAIT_S) == "b'answer'"


@pytest.mark.parametrize("frame", [b"question", LARGE], ids=["reads", "sends"])
def test_an_abort_wakes_the_call_that(far: Far, frame: bytes) -> None:
    asked = in_background(lambda: ask(far, frame))
    assert far.line.recv(10)  # it has begun
    far.client.abort()
    with pytest.raises(Broken) as caught:
        asked.result(WAIT_S)
    assert caught.value.why is Break.CONNECTION_LOST


def test_time_and_silence(far: Far) -> None:
    with pytest.raises(Broken) as caught:
        ask(far, b"question", timeout_s=0.01)
    assert caught.value.why is Break.TIMEOUT
    assert far.hear() == (Opcode.BINARY, b"question")
    asked = in_background(lambda: ask(far, silence_s=0.01))
    assert far.hear() == (Opcode.PING, b"")
    with pytest.raises(Broken, match="no sign of life"):
        asked.result(WAIT_S)
    with pytest.raises(Broken) as caught:
        ask(far, LARGE, silence_s=0.01)
    assert caught.value.why is Break.CONNECTION_LOST
    assert not far.client.tell(b"more", WAIT_S)  # it would fall into the middle of what was being sent


@pytest.mark.parametrize("method", ["send", "recv_into"])
def test_nothing_is_told_on_a_connection_that_was_interrupted(method: str) -> None:
    class Interrupted:
        def __init__(self, real: socket.socket) -> None:
            self._real = real

        def __getattr__(self, name: str) -> Any:
            if name == method:
                raise KeyboardInterrupt
            return getattr(self._real, name)

    far = Far(Interrupted)
    far.send(framed(0x82, b"answer"))
    with pytest.raises(KeyboardInterrupt):
        ask(far, b"question")
    far.client.look(only_if_idle=True)
    assert not far.client.tell(b"goodbye", WAIT_S)
    far.client.close(WAIT_S)
    far.end()


def test_a_goodbye_waits_for_the_servers(far: Far) -> None:
    parted = in_background(lambda: far.client.close(WAIT_S))
    assert far.hear()[0] is Opcode.CLOSE
    far.send(framed(0x82, b"late"), framed(0x89, b"hi"))
    assert far.line.recv(100)[0] == 0x8A  # a pong: it reads on
    far.send(framed(0x88, (1000).to_bytes(2)))
    far.line.shutdown(socket.SHUT_WR)
    parted.result(WAIT_S)
    assert "code 1000" in str(far.client.ended)
    far.client.close(WAIT_S)  # again
