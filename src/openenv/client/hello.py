"""What a server says of itself when a client connects, without opening a session."""

from __future__ import annotations

from collections.abc import Mapping

from websockets.sync.client import connect

from openenv.client.async_client import GenericEnvClient
from openenv.client.sockets import CONNECT_ERRORS, connect_arguments, connect_failed
from openenv.protocol import ClientConnection, Hello

__all__ = ["read_hello"]


def read_hello(url: str, timeout_s: float = 10.0, headers: Mapping[str, str] | None = None) -> Hello | None:
    """The greeting of a server; ``None`` from one that speaks protocol v1 only, which does not greet.

    Args:
        url: Its address.
        timeout_s: Seconds until it has to greet.
        headers: Additional headers of the handshake.

    Raises:
        ConnectFailed: The server cannot be reached, or does not greet in time.
    """
    options = GenericEnvClient(url, connect_timeout_s=timeout_s, headers=headers).options
    try:
        with connect(options.address.websocket, **connect_arguments(options)) as socket:
            connection = ClientConnection(socket.subprotocol)
            if connection.has_sessions:
                connection.receive(socket.recv(timeout_s))
            return connection.hello
    except CONNECT_ERRORS as error:
        raise connect_failed(options, error) from error
