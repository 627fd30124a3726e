"""Which version and form is spoken on a connection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from openenv.errors import OpenEnvError
from openenv.protocol.messages import Reply, Request
from openenv.protocol.v1 import V1ClientCodec, V1ServerCodec
from openenv.protocol.v2 import V2ClientCodec, V2ServerCodec
from openenv.protocol.v2_msgpack import MsgpackClientCodec, MsgpackServerCodec

__all__ = ["SUBPROTOCOLS", "ClientCodec", "ServerCodec", "client_codec", "server_codec"]

SUBPROTOCOLS = (MsgpackServerCodec.subprotocol, V2ServerCodec.subprotocol)
"""What a client offers, best first. A server that accepts none of them speaks v1."""


class ServerCodec(Protocol):
    """The server's end of a version: frames to requests, replies to frames."""

    @property
    def subprotocol(self) -> str | None:
        """The WebSocket subprotocol to accept; ``None`` is v1."""

    def decode(self, frame: str | bytes) -> Request:
        """A frame as a request; raises what is wrong with it."""

    def decode_all(self, frame: str | bytes) -> list[Request | OpenEnvError]:
        """The requests of an array; in the place of one that cannot be read, what is wrong with it."""

    def encode(self, reply: Reply) -> str | bytes | None:
        """A reply as a text or binary frame, or ``None`` where the version has no such message."""


class ClientCodec(Protocol):
    """The client's end of a version: requests to frames, frames to replies."""

    @property
    def subprotocol(self) -> str | None:
        """The WebSocket subprotocol that was accepted; ``None`` is v1."""

    def encode(self, request: Request) -> str | bytes:
        """A request as a text or binary frame.

        Raises:
            ActionInvalid: The action has no form in this version.
            LocalProtocolError: Something else in it has none.
        """

    def decode(self, frame: str | bytes) -> Reply:
        """A frame as a reply.

        Raises:
            RemoteProtocolError: The server sent what this version does not know.
        """

    def decode_all(self, frame: str | bytes) -> list[Reply]:
        """An array as replies; raises as ``decode`` does."""


def server_codec(offered: Iterable[str], *, plain: bool = False) -> ServerCodec:
    """The codec of the best version that the client offers.

    Args:
        offered: Subprotocols.
        plain: Whether actions and observations can only hold plain JSON, which is faster as JSON.
    """
    best: list[type[V2ServerCodec | MsgpackServerCodec]] = [MsgpackServerCodec, V2ServerCodec]
    known = set(offered)
    for codec in reversed(best) if plain else best:
        if codec.subprotocol in known:
            return codec()
    return V1ServerCodec()


def client_codec(subprotocol: str | None) -> ClientCodec:
    """The codec of the subprotocol that the server accepted; v1 where it accepted none that was offered."""
    match subprotocol:
        case MsgpackClientCodec.subprotocol:
            return MsgpackClientCodec()
        case V2ClientCodec.subprotocol:
            return V2ClientCodec()
    return V1ClientCodec()
