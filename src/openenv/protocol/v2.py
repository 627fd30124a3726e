"""Protocol v2 in JSON: frames to messages and back, for both ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from openenv.errors import InvalidJSON, InvalidRequest, RemoteProtocolError, UnknownType
from openenv.protocol.encoding import EncodingFailed, fields_beside, to_json
from openenv.protocol.lossy import metadata_json, unencodable
from openenv.protocol.messages import (
    Close,
    Closed,
    Failed,
    GetState,
    Hello,
    Observed,
    Open,
    Opened,
    Reply,
    Request,
    Reset,
    StateIs,
    Step,
)

__all__ = ["V2ClientCodec", "V2ServerCodec"]

_REQUESTS = Open | Reset | Step | GetState | Close
_REPLIES = Hello | Opened | Observed | StateIs | Closed | Failed

_encoder = msgspec.json.Encoder(enc_hook=lambda value: msgspec.Raw(to_json(value)))
_decode_request: Callable[[str | bytes], Request] = msgspec.json.Decoder(_REQUESTS).decode
_decode_reply: Callable[[str | bytes], Reply] = msgspec.json.Decoder(_REPLIES).decode


class _Tag(msgspec.Struct):
    type: str
    session: str = ""
    id: int = 0


class V2ServerCodec:
    """The server's end."""

    subprotocol = "openenv.v2.json"

    def decode(self, frame: str | bytes) -> Request:
        """A frame as a request. Keys that are not known are passed over.

        Raises:
            InvalidJSON, UnknownType, InvalidRequest: What is wrong with the frame, and where.
        """
        try:
            return _decode_request(frame)
        except msgspec.ValidationError as error:
            raise _explain(frame, error, {"open", "reset", "step", "state", "close"}) from None
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise InvalidJSON(f"the frame is not JSON: {error}") from None

    def encode(self, reply: Reply) -> str:
        """A reply as a frame. A value without JSON form becomes a ``Failed`` that carries the rest."""
        try:
            if isinstance(reply, Observed):
                observation = to_json(reply.observation, fields_beside(type(reply.observation)))
                metadata = metadata_json(reply, observation)
                return _encode(
                    msgspec.structs.replace(
                        reply,
                        observation=msgspec.Raw(observation),
                        metadata=msgspec.Raw(metadata),
                        reward=msgspec.Raw(to_json(reply.reward)),
                    )
                )
            if isinstance(reply, StateIs):
                return _encode(msgspec.structs.replace(reply, state=msgspec.Raw(to_json(reply.state))))
            if isinstance(reply, Failed):
                return _encode(msgspec.structs.replace(reply, details=msgspec.Raw(to_json(reply.details))))
            return _encode(reply)
        except (EncodingFailed, TypeError, ValueError, RecursionError) as error:
            return _encode(unencodable(reply, error))


class V2ClientCodec:
    """The client's end."""

    subprotocol = "openenv.v2.json"

    def encode(self, request: Request) -> str:
        """A request as a frame."""
        return _encode(request)

    def decode(self, frame: str | bytes) -> Reply:
        """A frame as a reply.

        Raises:
            RemoteProtocolError: The server sent what this version does not know.
        """
        try:
            return _decode_reply(frame)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise RemoteProtocolError(f"the server sent a frame this client cannot read: {error}") from None


def _encode(message: Any) -> str:
    return _encoder.encode(message).decode()


def _explain(frame: str | bytes, error: msgspec.ValidationError, known: set[str]) -> RemoteProtocolError:
    """The error for a frame that is JSON but no request."""
    try:
        tag = msgspec.json.decode(frame, type=_Tag)
    except msgspec.ValidationError:
        if frame.lstrip()[:1] not in ("{", b"{"):
            return InvalidJSON('a frame must be a JSON object, such as {"type": "state"}')
        return InvalidRequest(
            f"the frame needs a text 'type' and, if given, a text 'session' and integer 'id': {error}"
        )
    except (msgspec.DecodeError, UnicodeError, RecursionError) as broken:  # after the field that does not fit
        return InvalidJSON(f"the frame is not JSON: {broken}")
    address = {"session": tag.session, "id": tag.id}  # ``Failed.of`` answers there
    if tag.type not in known:
        return UnknownType(f"unknown type {tag.type!r}; known are {', '.join(sorted(known))}", details=address)
    return InvalidRequest(f"{tag.type}: {error}", details=address)
