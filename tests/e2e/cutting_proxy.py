"""A proxy that cuts a connection after so many bytes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CuttingProxy", "cutting"]

_END_S = 30


@dataclass
class CuttingProxy:
    """Carries connections to a server; the first one ends after a number of bytes in one direction.

    Attributes:
        target: Address of the server.
        up: Whether bytes to the server are counted, or those from it.
        after: How many of them pass, not counting the handshake.
    """

    target: tuple[str, int]
    up: bool
    after: int
    connections: int = 0
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _threads: list[threading.Thread] = field(default_factory=list)
    _ends: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self) -> None:
        self._start(self._accept)

    def stop(self) -> None:
        for end in (*self._ends, self._listener):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept or recv
        for thread in self._threads:
            thread.join(_END_S)
            assert not thread.is_alive()
        for end in (*self._ends, self._listener):
            end.close()

    def _start(self, work: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(self.target)
            self._ends += [client, server]
            for up, source, sink in ((True, client, server), (False, server, client)):
                left = self.after if self.connections == 1 and up == self.up else None
                self._start(self._carry, source, sink, left)

    def _carry(self, source: socket.socket, sink: socket.socket, left: int | None) -> None:
        head = b""  # the handshake, until its empty line
        with suppress(OSError):
            while data := source.recv(65536):
                if left is not None and b"\r\n\r\n" not in head:
                    head += data
                    start = head.find(b"\r\n\r\n") + 4
                    passing = data if start < 4 else data[: len(data) - (len(head) - start)]
                    sink.sendall(passing)
                    data = data[len(passing) :]
                if left is not None and len(data) >= left and b"\r\n\r\n" in head:
                    sink.sendall(data[:left])
                    break
                if left is not None:
                    left -= len(data)
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutting(url: str, cuts: list[tuple[bool, int]]) -> Iterator[list[CuttingProxy]]:
    host, port = url.removeprefix("http://").split(":")
    proxies = [CuttingProxy((host, int(port)), up, after) for up, after in cuts]
    for proxy in proxies:
        proxy.start()
    try:
        yield proxies
    finally:
        for proxy in proxies:
            proxy.stop()
