"""One WebSocket to a server, blocking; a thread of the websockets library reads it."""

from __future__ import annotations

import socket
from contextlib import suppress
from time import monotonic
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from openenv.client.breaks import Broken
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
from openenv.protocol import Reply

__all__ = ["SyncSocket"]

_PIECE_BYTES = 64 * 1024


class _Wire:
    """A connected socket that counts what arrives, and does not wait for ever until it can send.

    Attributes:
        heard_bytes: Bytes that arrived.
        stall_s: Longest time in which a piece of what is sent must leave; ``None``: any.
        over_at: When sending must be over, as ``monotonic`` counts; ``None``: any time.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self.heard_bytes = 0
        self.stall_s: float | None = None
        self.over_at: float | None = None

    def recv(self, size: int) -> bytes:
        data = self._socket.recv(size)
        self.heard_bytes += len(data)
        return data

    def sendall(self, data: bytes) -> None:
        whole = memoryview(data)
        try:
            for start in range(0, len(whole), _PIECE_BYTES):
                self._socket.settimeout(self._patience_s())
                self._socket.sendall(whole[start : start + _PIECE_BYTES])
        finally:
            with suppress(OSError):  # it was closed meanwhile
                self._socket.settimeout(None)

    def _patience_s(self) -> float | None:
        if self.over_at is None:
            return self.stall_s
        left_s = max(0.001, self.over_at - monotonic())
        return left_s if self.stall_s is None else min(left_s, self.stall_s)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class SyncSocket:
    """A connection. ``SyncSocket.connect`` makes one."""

    def __init__(self, connection: ClientConnection, wire: _Wire) -> None:
        self._connection = connection
        self._wire = wire
        self._is_sending = False

    @staticmethod
    def connect(options: ClientOptions, timeout_s: float) -> SyncSocket:
        """Connect; raises ``ConnectFailed``."""
        wires: list[_Wire] = []

        class Connection(ClientConnection):
            def __init__(self, connected: Any, *args: Any, **keywords: Any) -> None:
                wires.append(_Wire(connected))
                super().__init__(wires[-1], *args, **keywords)  # type: ignore[arg-type]  # it does all that one does

        try:
            # entered by hand: the connection outlives this call, and its __exit__ is its close()
            connection = connect(
                options.address.websocket, create_connection=Connection, **connect_arguments(options, timeout_s)
            ).__enter__()
        except CONNECT_ERRORS as error:
            raise connect_failed(options, error) from error
        keep_alive(connection.socket)
        return SyncSocket(connection, wires[-1])

    @property
    def subprotocol(self) -> str | None:
        """What the server chose."""
        return self._connection.subprotocol

    @property
    def ended(self) -> Broken | None:
        """How it ended, if it is known to be gone."""
        code = self._connection.close_code
        return None if code is None else closed_with(code)

    def ask(self, move: Ask) -> Reply:
        """Send the frame, if there is one, and wait for the answer; see ``Ask``."""
        over_at = None if move.timeout_s is None else monotonic() + move.timeout_s
        silence = None if move.silence_s is None else Silence(move.silence_s, lambda: (self._wire.heard_bytes, 0))
        self._wire.over_at, self._wire.stall_s = over_at, None if move.silence_s is None else 2 * move.silence_s
        try:
            if move.frame is not None:
                with suppress(ConnectionClosed):  # what the server said before it left is still to be read
                    self._send(move.frame)
            while True:
                left_s = None if over_at is None else max(0.0, over_at - monotonic())
                waits = [s for s in (left_s, move.silence_s) if s is not None]
                try:
                    frame = self._connection.recv(min(waits, default=None))
                except TimeoutError as error:
                    if silence is None or (over_at is not None and monotonic() >= over_at):
                        raise timed_out(move.timeout_s) from error
                    if silence.should_ping():
                        self._connection.ping()
                    continue
                reply = move.take(frame)
                if reply is not None:
                    return reply
        except ConnectionClosed as error:
            if over_at is not None and monotonic() >= over_at:  # it was closed because sending took too long
                raise timed_out(move.timeout_s) from error
            raise broken(error) from error
        finally:
            self._wire.over_at = None

    def tell(self, frame: str | bytes, timeout_s: float) -> bool:
        """Send a frame that nobody waits to see answered; whether the connection took it in time."""
        if self._is_sending:  # another frame was interrupted in its middle
            return False
        self._wire.over_at, self._wire.stall_s = monotonic() + timeout_s, None
        try:
            self._send(frame)
        except ConnectionClosed:
            return False
        return True

    def close(self, timeout_s: float) -> None:
        """Say goodbye."""
        self._wire.over_at = monotonic() + timeout_s
        self._connection.close_timeout = timeout_s
        self._connection.close()

    def abort(self) -> None:
        """Hang up at once, and see the reading thread off."""
        with suppress(OSError):  # it is closed already
            self._wire.shutdown(socket.SHUT_RDWR)  # whoever is stuck in sending holds a lock that closing needs
        self._connection.close_socket()
        self._connection.recv_events_thread.join()

    def _send(self, frame: str | bytes) -> None:
        self._is_sending = True
        self._connection.send(frame)
        self._is_sending = False
