"""What both clients tell the websockets library, and how they read its errors."""

from __future__ import annotations

import socket
from typing import Any

from openenv.client.conversation import Break
from openenv.client.options import ClientOptions
from openenv.protocol import SUBPROTOCOLS

__all__ = ["break_of", "connect_arguments", "keep_alive", "told"]

_BREAKS = {1001: Break.SERVER_STOPPED, 1009: Break.MESSAGE_TOO_LARGE, 1012: Break.SERVER_STOPPED}


def connect_arguments(options: ClientOptions) -> dict[str, Any]:
    """Arguments of ``connect`` that both I/O styles share."""
    arguments: dict[str, Any] = {
        "subprotocols": SUBPROTOCOLS,
        "compression": None,  # costs more time than it saves, above all for arrays
        "max_size": options.max_message_bytes,
        "ping_interval": None,  # a server may be busy for minutes; TCP keepalive tells whether it is gone
        "additional_headers": dict(options.headers),
    }
    if options.address.is_local:
        arguments["proxy"] = None
    return arguments


def keep_alive(connection: socket.socket | None) -> None:
    """Let the kernel find out, within about two minutes, that a silent peer is gone."""
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):  # not every system has all three
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def break_of(close_code: int | None) -> Break:
    """Why a connection ended, by its WebSocket close code."""
    return _BREAKS.get(close_code or 0, Break.CONNECTION_LOST)


def told(error: BaseException) -> str:
    """A library's error in one line."""
    return " ".join(str(error).split()) or type(error).__name__
