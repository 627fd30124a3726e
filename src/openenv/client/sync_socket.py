"""One WebSocket to a server, blocking; a thread of the websockets library reads it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from openenv.client.conversation import Broken
from openenv.client.options import ClientOptions
from openenv.client.sockets import (
    CONNECT_ERRORS,
    broken,
    closed_with,
    connect_arguments,
    connect_failed,
    keep_alive,
    timed_out,
)
from openenv.protocol import Reply

__all__ = ["SyncSocket"]


class SyncSocket:
    """A connection. ``SyncSocket.connect`` makes one."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @staticmethod
    def connect(options: ClientOptions) -> SyncSocket:
        """Connect; raises ``ConnectFailed``."""
        try:
            # entered by hand: the connection outlives this call, and its __exit__ is its close()
            connection = connect(options.address.websocket, **connect_arguments(options)).__enter__()
        except CONNECT_ERRORS as error:
            raise connect_failed(options, error) from error
        keep_alive(connection.socket)
        return SyncSocket(connection)

    @property
    def subprotocol(self) -> str | None:
        """What the server chose."""
        return self._connection.subprotocol

    @property
    def ended(self) -> Broken | None:
        """How it ended, if it is known to be gone."""
        code = self._connection.close_code
        return None if code is None else closed_with(code)

    def ask(self, frame: str | None, take: Callable[[str | bytes], Reply | None], timeout_s: float | None) -> Reply:
        """Send a frame, if there is one, and wait until ``take`` finds the answer in what arrives.

        Raises:
            Broken: The connection ended, or nothing came in time.
        """
        deadline = None if timeout_s is None else monotonic() + timeout_s
        try:
            if frame is not None:
                with suppress(ConnectionClosed):  # what the server said before it left is still to be read
                    self._connection.send(frame)
            reply = None
            while reply is None:
                left_s = None if deadline is None else max(0.0, deadline - monotonic())
                reply = take(self._connection.recv(left_s))
            return reply
        except ConnectionClosed as error:
            raise broken(error) from error
        except TimeoutError as error:
            raise timed_out(timeout_s) from error

    def tell(self, frame: str) -> None:
        """Send a frame that has no answer."""
        with suppress(ConnectionClosed):  # nobody is there to be told
            self._connection.send(frame)

    def close(self) -> None:
        """Say goodbye."""
        self._connection.close()

    def abort(self) -> None:
        """Hang up at once, and see the reading thread off."""
        self._connection.close_socket()
        self._connection.recv_events_thread.join()
