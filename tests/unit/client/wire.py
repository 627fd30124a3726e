"""A TCP line between client and server that a test can cut."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.unit.client.servers import WAIT_S, Server


class Wire:
    """A TCP proxy that cuts its connections when told, or when ``cut_when`` says so of what the server sends."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.cut_when: Callable[[bytes], bool] = lambda data: False
        self.connections = 0
        self._swallowing: set[tuple[socket.socket, socket.socket]] = set()
        self._stalled: set[tuple[socket.socket, socket.socket]] = set()
        self._over = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut(self) -> None:
        """Cut all connections, as a broken line would."""
        for pair in self._pairs:
            self._cut(pair)
        self._pairs.clear()

    def swallow(self) -> None:
        """Lose from here on whatever comes on the connections there are, without a sign to either side."""
        self._swallowing.update(self._pairs)

    def stall(self) -> None:
        """Carry from here on nothing on the connections there are, until nothing more can be sent."""
        self._stalled.update(self._pairs)

    def close(self) -> None:
        """End it."""
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(WAIT_S)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(WAIT_S)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                client.close()
                continue
            self.connections += 1
            pair = client, server
            self._pairs.append(pair)
            for source, target in (pair, pair[::-1]):
                thread = threading.Thread(target=self._carry, args=(source, target, pair))
                self._threads.append(thread)
                thread.start()

    def _carry(self, source: socket.socket, target: socket.socket, pair: tuple[socket.socket, socket.socket]) -> None:
        with suppress(OSError):
            while (data := source.recv(65536)) and all(self._pass_on(part, target, pair) for part in _parts(data)):
                pass
        self._cut(pair)

    def _pass_on(self, part: bytes, target: socket.socket, pair: tuple[socket.socket, socket.socket]) -> bool:
        if target is pair[0] and self.cut_when(part):
            return False
        if pair in self._stalled:
            self._over.wait(WAIT_S)
        if pair not in self._swallowing:
            target.sendall(part)
        return True

    def _cut(self, pair: tuple[socket.socket, socket.socket]) -> None:
        for one in pair:
            with suppress(OSError):
                # a reset, not a goodbye
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def _parts(data: bytes) -> list[bytes]:
    """The answer to the handshake, and what follows it, though both may come together."""
    end = data.find(b"\r\n\r\n") + 4 if data.startswith(b"HTTP/1.1 101") else 0
    return [part for part in (data[:end], data[end:]) if part]


@contextmanager
def wire_to(server: Server) -> Iterator[Wire]:
    """A wire to a server, to be cut."""
    wire = Wire(server.port)
    try:
        yield wire
    finally:
        wire.close()
