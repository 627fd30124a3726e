"""The request that opens a WebSocket, read and judged without I/O."""

from __future__ import annotations

import base64
import binascii
from asyncio import Transport
from dataclasses import dataclass
from typing import Any

__all__ = ["Handshake", "read_handshake"]

_WITH_BODY = {b"content-length", b"transfer-encoding"}


@dataclass(frozen=True)
class Handshake:
    """An opening request that can be accepted.

    Attributes:
        path: Without the query, as it was sent.
        headers: Names in lower case.
        key: What the answer has to prove to have read.
        subprotocols: What the client offers, in its order.
    """

    path: str
    headers: list[tuple[bytes, bytes]]
    key: str
    subprotocols: list[str]

    def scope(self, transport: Transport) -> dict[str, Any]:
        """The ASGI scope of a connection that has sent it."""
        server = transport.get_extra_info("sockname")
        return {
            "type": "websocket",
            "scheme": "ws",
            "path": self.path,
            "server": server if isinstance(server, tuple) else (server, None),
            "client": transport.get_extra_info("peername"),
            "headers": self.headers,
            "subprotocols": self.subprotocols,
        }

    def plainly(self) -> bytes:
        """The same request in a form of which no reader can have a doubt; it offers no subprotocols."""
        return (
            f"GET {self.path} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {self.key}\r\n\r\n"
        ).encode()


def read_handshake(request: bytes) -> Handshake | None:
    """The handshake in a whole HTTP request; ``None`` where it has any flaw that somebody has to answer for."""
    first, *lines = request.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, _, target = first.partition(b" ")
    path, _, version = target.partition(b" ")
    if method != b"GET" or version != b"HTTP/1.1" or not path.isascii():
        return None
    headers = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    names = {name for name, _ in headers}
    keys, versions = _all(headers, b"sec-websocket-key"), _all(headers, b"sec-websocket-version")
    if names & _WITH_BODY or versions != [b"13"] or len(keys) != 1 or not _is_key(keys[0]):
        return None
    if not _has(headers, b"upgrade", b"websocket") or not _has(headers, b"connection", b"upgrade"):
        return None
    offered = b",".join(_all(headers, b"sec-websocket-protocol")).decode("latin-1")
    subprotocols = [one.strip() for one in offered.split(",") if one.strip()]
    return Handshake(path.decode().partition("?")[0], headers, keys[0].decode(), subprotocols)


def _all(headers: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for one, value in headers if one == name]


def _has(headers: list[tuple[bytes, bytes]], name: bytes, token: bytes) -> bool:
    tokens = b",".join(_all(headers, name)).lower().split(b",")
    return token in (one.strip() for one in tokens)


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False
