"""The two ends of a connection, without I/O: which version is spoken, and which reply answers which request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from msgspec import structs

from openenv.errors import LocalProtocolError, RemoteProtocolError
from openenv.protocol.messages import Failed, Hello, Open, Opened, Reply, Request
from openenv.protocol.v1 import V1ClientCodec, V1ServerCodec
from openenv.protocol.v2 import V2ClientCodec, V2ServerCodec

__all__ = ["SUBPROTOCOLS", "ClientConnection", "ServerCodec", "server_codec"]

SUBPROTOCOLS = (V2ServerCodec.subprotocol,)
"""What a client offers, best first. A server that accepts none of them speaks v1."""


class ServerCodec(Protocol):
    """The server's end of a version: frames to requests, replies to frames."""

    @property
    def subprotocol(self) -> str | None:
        """The WebSocket subprotocol to accept; ``None`` is v1."""

    def decode(self, frame: str | bytes) -> Request:
        """A frame as a request; raises what is wrong with it."""

    def encode(self, reply: Reply) -> str | None:
        """A reply as a frame, or ``None`` where the version has no such message."""


def server_codec(offered: Iterable[str]) -> ServerCodec:
    """The codec of the best version that the client offers."""
    return V2ServerCodec() if V2ServerCodec.subprotocol in offered else V1ServerCodec()


class ClientConnection:
    """The client's end of one connection that carries one session.

    One request is open at a time. ``send`` turns it into a frame, ``receive`` takes each arriving frame and
    returns the reply that answers it, or ``None`` for a frame that answers nothing, such as a late reply to a
    request that was given up.
    """

    def __init__(self, subprotocol: str | None) -> None:
        self._codec = V2ClientCodec() if subprotocol == V2ClientCodec.subprotocol else V1ClientCodec()
        self._session = ""
        self._last_id = 0
        self._ack = 0
        self._open: Request | None = None
        self.hello: Hello | None = None

    @property
    def has_sessions(self) -> bool:
        """Whether the version greets and opens sessions; in v1 the connection is the session."""
        return self._codec.subprotocol is not None

    def send(self, request: Request) -> str:
        """The frame of a request.

        Raises:
            LocalProtocolError: Another request is open, or the version cannot say this.
        """
        if self._open is not None:
            raise LocalProtocolError("a request of this session is unanswered; wait for it, or use another session")
        if self.has_sessions and not isinstance(request, Open):
            request = structs.replace(request, session=self._session, id=self._last_id + 1, ack=self._ack)
        frame = self._codec.encode(request)
        self._last_id = max(self._last_id, request.id)
        self._open = request
        return frame

    def withdraw(self) -> None:
        """Forget the open request: its frame was not sent."""
        self._open = None

    def receive(self, frame: str | bytes) -> Reply | None:
        """The reply in an arriving frame, if it is the greeting or answers the open request.

        Raises:
            RemoteProtocolError: The frame cannot be read, or nothing was asked.
        """
        reply = self._codec.decode(frame)
        if isinstance(reply, Hello):
            self.hello = reply
            return reply
        if self._open is None:
            if isinstance(reply, Failed):  # a v1 server that is full says so unasked
                return reply
            if self.has_sessions:
                return None
            raise RemoteProtocolError("the server answered without being asked")
        if isinstance(reply, Opened):
            if not (isinstance(self._open, Open) and reply.nonce == self._open.nonce):
                return None
            self._session = reply.session
        elif self.has_sessions and reply.id != self._open.id and not (isinstance(reply, Failed) and reply.id == 0):
            return None  # a late one; an error without an id is about a frame whose id could not be read: the last
        self._ack = max(self._ack, reply.id)
        self._open = None
        return reply
