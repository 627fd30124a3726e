"""Protocol v2 in JSON: frames to messages and back, for both ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs

from openenv.errors import ActionInvalid, InvalidJSON, InvalidRequest, LocalProtocolError, RemoteProtocolError
from openenv.protocol.encoding import UNENCODABLE, fields_beside, is_model, to_json
from openenv.protocol.faults import explained
from openenv.protocol.lossy import unencodable
from openenv.protocol.messages import (
    Close,
    Closed,
    Ended,
    Failed,
    GetState,
    Hello,
    NonNegative,
    Observed,
    Open,
    Opened,
    Progress,
    Queued,
    Reply,
    Request,
    Reset,
    Resume,
    Resumed,
    Seconds,
    StateIs,
    Step,
)
from openenv.protocol.plain import plain_json
from openenv.types.tagged import TAGGED, Malformed, may_have_tags, untagged

__all__ = ["REPLIES", "V2ClientCodec", "V2ServerCodec", "names"]

REPLIES = Hello | Opened | Resumed | Queued | Progress | Observed | StateIs | Closed | Ended | Failed


class _Step(Struct, kw_only=True, tag_field="type", tag="step"):
    """A ``Step`` as it arrives: the action stays text, which pydantic reads faster than anything made of it."""

    session: str = ""
    id: NonNegative = 0
    ack: NonNegative = 0
    action: Raw
    timeout_s: Seconds | None = None
    options: dict[str, Any] = {}


_NUMBERS = (float, bool, type(None))
_encode = msgspec.json.Encoder().encode
_decode_request: Callable[[str | bytes], Request | _Step] = msgspec.json.Decoder(
    Open | Resume | Reset | _Step | GetState | Close
).decode
_decode_reply: Callable[[str | bytes], Reply] = msgspec.json.Decoder(REPLIES).decode


class V2ServerCodec:
    """The server's end."""

    subprotocol = "openenv.v2.json"

    def decode(self, frame: str | bytes) -> Request:
        """A frame as a request. Keys that are not known are passed over.

        Raises:
            InvalidJSON, UnknownType, InvalidRequest: What is wrong with the frame, and where.
        """
        try:
            request = _decode_request(frame)
        except msgspec.ValidationError as error:
            raise explained(frame, error, msgspec.json.decode) from None
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise InvalidJSON(f"the frame is not JSON: {error}") from None
        if may_have_tags(frame):
            try:
                return _untagged_request(request)
            except (Malformed, msgspec.DecodeError, UnicodeError, RecursionError) as error:
                address = {"session": request.session, "id": request.id}
                raise InvalidRequest(f"the frame cannot be read: {error}", details=address) from None
        return _step(request, request.action) if isinstance(request, _Step) else request

    def encode(self, reply: Reply) -> str:
        """A reply as a frame. A value that has no form becomes a ``Failed`` that carries the rest."""
        try:
            return _reply(reply).decode()
        except UNENCODABLE as error:
            return _reply(unencodable(reply, error, TAGGED)).decode()


class V2ClientCodec:
    """The client's end."""

    subprotocol = "openenv.v2.json"

    def encode(self, request: Request) -> str:
        """A request as a frame.

        Raises:
            ActionInvalid: The action has no form.
            LocalProtocolError: Another argument has none.
        """
        if isinstance(request, Step):
            try:
                request = structs.replace(request, action=_action(request.action))
            except UNENCODABLE as error:
                raise ActionInvalid(f"the action cannot be sent: {error}") from error
        try:
            if isinstance(request, Step | Reset) and request.options:
                request = structs.replace(request, options=TAGGED.fields(request.options))
            return _encode(request).decode()
        except UNENCODABLE as error:
            raise LocalProtocolError(f"the options cannot be sent: {error}") from error

    def decode(self, frame: str | bytes) -> Reply:
        """A frame as a reply.

        Raises:
            RemoteProtocolError: The server sent what this version does not know.
        """
        try:
            reply = _decode_reply(frame)
            if may_have_tags(frame):
                _untag_reply(reply)
        except (Malformed, msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise RemoteProtocolError(f"the server sent a frame this client cannot read: {error}") from None
        return reply


def _step(request: _Step, action: Any) -> Step:
    return Step(
        session=request.session,
        id=request.id,
        ack=request.ack,
        action=action,
        timeout_s=request.timeout_s,
        options=request.options,
    )


def _untagged_request(request: Request | _Step) -> Request:
    """The request with the values that its tagged objects stand for."""
    if isinstance(request, Reset | _Step):
        request.options = names(untagged(request.options))
    if isinstance(request, _Step):
        raw = request.action
        return _step(request, untagged(msgspec.json.decode(raw)) if may_have_tags(bytes(raw)) else raw)
    return request


def _untag_reply(reply: Reply) -> None:
    match reply:
        case Observed():
            reply.observation, reply.metadata = untagged(reply.observation), names(untagged(reply.metadata))
        case StateIs():
            reply.state = untagged(reply.state)
        case Failed():
            reply.details = names(untagged(reply.details))


def names(value: Any) -> dict[str, Any]:
    """The value, if it is a dict with text as keys.

    Raises:
        Malformed: It is not.
    """
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise Malformed("names and their values are needed where another value stands")
    return value


def _reply(reply: Reply) -> bytes:
    match reply:
        case Observed():
            observation = reply.observation
            return _encode(
                structs.replace(
                    reply,
                    observation=_value(observation, fields_beside(type(observation))),
                    metadata=TAGGED.fields(reply.metadata) if reply.metadata else reply.metadata,
                    reward=reply.reward if type(reply.reward) in _NUMBERS else Raw(to_json(reply.reward)),
                )
            )
        case StateIs():
            return _encode(structs.replace(reply, state=_value(reply.state)))
        case Failed():
            return _encode(structs.replace(reply, details=TAGGED.fields(reply.details)))
    return _encode(reply)


def _value(value: Any, exclude: set[str] | None = None) -> Any:
    """A value as JSON values, or as text where that takes one pass."""
    text = plain_json(value, exclude)
    if text is not None:
        return Raw(text)
    return TAGGED.model(value, exclude) if is_model(value) else TAGGED.write(value)


def _action(action: Any) -> Any:
    return action if isinstance(action, Raw) else _value(action)
