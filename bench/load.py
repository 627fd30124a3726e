"""A load client that is not the limit: protocol v1 over plain sockets, one thread, no sleep.

It asks the kernel for replies again and again instead of waiting for them. A client that waits must be woken, and
the kernel bills the waking to whoever wakes: the server would pay for it inside its ``send``. Both sides get the
same client.
"""

from __future__ import annotations

import base64
import os
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

__all__ = ["Load", "connected"]

_RESET = b'{"type":"reset","data":{}}'
_STEP = b'{"type":"step","data":{"message":"hello"}}'
_CHUNK = 1 << 16
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class _Session:
    """One connection, which is one session of protocol v1."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        answer, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(f"no WebSocket: {answer[:200]!r}")

    def ask(self, frame: bytes) -> None:
        """Send a request and wait for its reply."""
        self.socket.sendall(frame)
        while not self.take():
            pass

    def take(self) -> bool:
        """Read once, and check the reply if it is whole now. Returns whether it was."""
        self._more()
        while (frame := self._frame()) is not None:
            kind, payload = frame
            if kind == _PING:
                self.socket.sendall(_masked(_PONG, payload))
            elif kind == _TEXT and payload.startswith(b'{"type":"observation"'):
                return True
            else:
                raise ConnectionError(f"instead of an observation: frame {kind}, {payload[:200]!r}")
        return False

    def _more(self) -> None:
        chunk = self.socket.recv(_CHUNK)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        self._buffer += chunk

    def _frame(self) -> tuple[int, bytes] | None:
        """The first frame of the buffer, if it is whole. Servers send no masks, and these answers no fragments."""
        held = self._buffer
        if len(held) < 2:
            return None
        size, begin = held[1], 2
        if size == 126:
            size, begin = int.from_bytes(held[2:4], "big"), 4
        elif size == 127:
            size, begin = int.from_bytes(held[2:10], "big"), 10
        if len(held) < begin + size:
            return None
        self._buffer = held[begin + size :]
        return held[0] & 0x0F, held[begin : begin + size]


@dataclass(frozen=True)
class Load:
    """Sessions of one server that have been reset, with one request on the way at most."""

    sessions: list[_Session]

    def steps(self, count: int) -> float:
        """Take ``count`` steps in all, every session as fast as its replies come; returns the seconds."""
        frame = _masked(_TEXT, _STEP)
        with selectors.DefaultSelector() as selector:
            for session in self.sessions:
                selector.register(session.socket, selectors.EVENT_READ, session)
            begun = time.perf_counter()
            asked = waiting = min(len(self.sessions), count)
            for session in self.sessions[:asked]:
                session.socket.sendall(frame)
            while waiting:
                for key, _ in selector.select(0):
                    if key.data.take():
                        if asked < count:
                            key.data.socket.sendall(frame)
                            asked += 1
                        else:
                            waiting -= 1
            return time.perf_counter() - begun

    def latencies(self, count: int) -> list[float]:
        """Seconds from request to reply of each of ``count`` steps of the first session."""
        session, frame, taken = self.sessions[0], _masked(_TEXT, _STEP), []
        with selectors.DefaultSelector() as selector:
            selector.register(session.socket, selectors.EVENT_READ)
            for _ in range(count):
                begun = time.perf_counter()
                session.socket.sendall(frame)
                while not (selector.select(0) and session.take()):
                    pass
                taken.append(time.perf_counter() - begun)
        return taken


@contextmanager
def connected(port: int, sessions: int) -> Iterator[Load]:
    """So many new sessions, reset once; closed in the end."""
    with ExitStack() as stack:
        load = Load([_Session(port) for _ in range(sessions)])
        for session in load.sessions:
            stack.enter_context(session.socket)
            session.ask(_masked(_TEXT, _RESET))
        yield load
        for session in load.sessions:
            session.socket.sendall(_masked(_CLOSE, b"\x03\xe8"))


def _masked(kind: int, payload: bytes) -> bytes:
    """A frame from a client: masked, as it must be, with a mask of zeros, which leaves the payload as it is."""
    size = len(payload)
    assert size < 126
    return bytes((0x80 | kind, 0x80 | size)) + b"\0\0\0\0" + payload
