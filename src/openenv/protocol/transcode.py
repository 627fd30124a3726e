"""A reply that was encoded for one connection, for another one that speaks another form of v2."""

from __future__ import annotations

from openenv.errors import SessionError
from openenv.protocol.negotiation import ServerCodec, client_codec

__all__ = ["transcoded"]


def transcoded(frame: str | bytes, form: str | None, codec: ServerCodec) -> str | bytes | None:
    """The frame as ``codec`` would have encoded it.

    Args:
        frame: An encoded reply.
        form: The subprotocol it was encoded for.
        codec: The form that is needed.

    Raises:
        SessionError: It was encoded for protocol v1, which says less.
    """
    if form is None:
        raise SessionError("this request was answered on a connection of protocol v1; its answer cannot be sent here")
    return codec.encode(client_codec(form).decode(frame))
