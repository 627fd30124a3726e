"""A real server as ``openenv serve`` starts it, with either way of carrying its WebSockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Literal

from tests.unit.server.serving import Running
from tests.unit.session.worlds import PATIENCE_S

from openenv.app.serve import Listening, serve

Shell = Literal["asgi", "auto"]
SHELLS: tuple[Shell, ...] = ("asgi", "auto")


@contextmanager
def served(app: Any, shell: Shell) -> Iterator[Running]:
    """Serve an application on a free port until the block ends."""
    ready = threading.Event()
    listening: list[Listening] = []

    def tell(at: Listening) -> None:
        listening.append(at)
        ready.set()

    thread = threading.Thread(
        target=serve, args=(app, "127.0.0.1", 0), kwargs={"on_ready": tell, "sockets": shell, "grace_s": 5}
    )
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield Running(int(listening[0].url.rpartition(":")[2]), thread)
    finally:
        listening[0].stop()
        thread.join(PATIENCE_S * 2)
        assert not thread.is_alive(), "the server did not stop"


class RawClient:
    """A WebSocket client that sends what a good one would not.

    Attributes:
        answer: The server's answer to the handshake, without its end.
    """

    def __init__(self, port: int, path: str = "/ws", more: str = "", key: str = "dGhlIHNhbXBsZSBub25jZQ==") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._held = b""
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"{more}\r\n".encode()
        )
        while b"\r\n\r\n" not in self._held:
            self._more()
        answer, _, self._held = self._held.partition(b"\r\n\r\n")
        self.answer = answer.decode()

    def send(self, first: int, payload: bytes | str = b"", masked: bool = True) -> None:
        """Send a frame with that very first byte: the final bit, the reserved ones and the kind."""
        self.socket.sendall(framed(first, payload, masked))

    def receive(self) -> tuple[int, bytes]:
        """The next frame: its first byte and what it carries."""
        first, size = self._exactly(2)
        if size == 126:
            size = int.from_bytes(self._exactly(2), "big")
        elif size == 127:
            size = int.from_bytes(self._exactly(8), "big")
        return first, self._exactly(size)

    def closed_with(self) -> int | None:
        """The code of the close that comes next; ``None`` for one without a code."""
        first, payload = self.receive()
        assert first == 0x88, (first, payload)
        return int.from_bytes(payload[:2], "big") if payload else None

    def is_at_end(self) -> bool:
        """Whether the server has closed the connection, which is waited for."""
        try:
            return not self._held and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _exactly(self, size: int) -> bytes:
        while len(self._held) < size:
            self._more()
        taken, self._held = self._held[:size], self._held[size:]
        return taken

    def _more(self) -> None:
        chunk = self.socket.recv(1 << 16)
        assert chunk, "the server closed the connection"
        self._held += chunk


def framed(first: int, payload: bytes | str = b"", masked: bool = True) -> bytes:
    """A frame as a client sends it, masked with zeros."""
    payload = payload.encode() if isinstance(payload, str) else payload
    bit, size = 0x80 * masked, len(payload)
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 1 << 16:
        head = bytes((first, bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + size.to_bytes(8, "big")
    return head + (b"\0\0\0\0" if masked else b"") + payload


@contextmanager
def raw(server: Running, path: str = "/ws", more: str = "", **changes: Any) -> Iterator[RawClient]:
    """A raw client of a server."""
    client = RawClient(int(server.address.rpartition(":")[2]), path, more, **changes)
    with closing(client.socket):
        yield client
