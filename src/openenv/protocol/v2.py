"""Protocol v2 in JSON: frames to messages and back, for both ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from typing import Any

import msgspec
from msgspec import Raw, structs

from openenv.errors import (
    ActionInvalid,
    InvalidJSON,
    InvalidRequest,
    LocalProtocolError,
    OpenEnvError,
    RemoteProtocolError,
)
from openenv.protocol.batch import MOST_IN_BATCH, each_decoded
from openenv.protocol.encoding import UNENCODABLE, fields_beside, is_model, to_json
from openenv.protocol.faults import explained
from openenv.protocol.lossy import unencodable
from openenv.protocol.messages import (
    AgentGranted,
    Close,
    Closed,
    Ended,
    Failed,
    GetOutcome,
    GetState,
    GrantAgent,
    Hello,
    Observed,
    Open,
    Opened,
    OutcomeIs,
    Progress,
    Queued,
    Reply,
    Request,
    Reset,
    Resume,
    Resumed,
    StateIs,
    Step,
)
from openenv.protocol.plain import observation_text, plain_json
from openenv.types.tagged import TAGGED, WRITTEN, Malformed, may_have_tags, untagged

__all__ = ["REPLIES", "V2ClientCodec", "V2ServerCodec", "names"]

_NOTICES = Hello | Queued | Progress | Ended
REPLIES = _NOTICES | Opened | Resumed | Observed | StateIs | OutcomeIs | AgentGranted | Closed | Failed


class _Step(Step, tag="step"):
    """A ``Step`` as it arrives: the action stays text, which pydantic reads faster than anything made of it."""

    action: Raw


_NUMBERS = (float, bool, type(None))
_encode = msgspec.json.Encoder().encode
_REQUESTS = Open | Resume | Reset | _Step | GetState | GetOutcome | GrantAgent | Close
_decode_request: Callable[[str | bytes], Request] = msgspec.json.Decoder(_REQUESTS).decode
_decode_requests: Callable[[str | bytes], Sequence[Request]] = msgspec.json.Decoder(list[_REQUESTS]).decode
_decode_reply: Callable[[str | bytes], Reply] = msgspec.json.Decoder(REPLIES).decode
_decode_replies: Callable[[str | bytes], Sequence[Reply]] = msgspec.json.Decoder(list[REPLIES]).decode


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
        return request

    def decode_all(self, frame: str | bytes) -> list[Request | OpenEnvError]:
        """The requests of an array; in the place of one that cannot be read, what is wrong with it.

        Raises:
            InvalidJSON, InvalidRequest: It is no array that can be read, or too long.
        """
        if not may_have_tags(frame):
            with suppress(msgspec.DecodeError, UnicodeError, RecursionError):  # else each by itself tells which it is
                found = _decode_requests(frame)
                if 0 < len(found) <= MOST_IN_BATCH:
                    return [*found]
        return each_decoded(self.decode, frame)

    def encode(self, reply: Reply) -> str:
        """A reply as a frame. A value that has no form becomes a ``Failed`` that carries the rest.

        An observation of plain JSON is replaced by its text: what is encoded again is written once.
        """
        try:
            if type(reply) is Observed:
                text = observation_text(reply.observation)
                if text is not None:
                    reply.observation = Raw(text)
                    if not reply.metadata and type(reply.reward) in _NUMBERS:
                        return _encode(reply).decode()
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
        if isinstance(request, Step) and type(request.action) is not Raw:
            try:
                request = structs.replace(request, action=_value(request.action))
            except UNENCODABLE as error:
                raise ActionInvalid(f"the action cannot be sent: {error}") from error
        try:
            if isinstance(request, Step | Reset) and request.options:
                request = structs.replace(request, options=WRITTEN.fields(request.options))
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

    def decode_all(self, frame: str | bytes) -> list[Reply]:
        """An array as replies.

        Raises:
            RemoteProtocolError: The server sent what this version does not know.
        """
        try:
            replies = [*_decode_replies(frame)]
            if may_have_tags(frame):
                for reply in replies:
                    _untag_reply(reply)
        except (Malformed, msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise RemoteProtocolError(f"the server sent a frame this client cannot read: {error}") from None
        return replies


def _untagged_request(request: Request) -> Request:
    """The request with the values that its tagged objects stand for."""
    if isinstance(request, Reset | Step):
        request.options = names(untagged(request.options))
    if isinstance(request, Step) and may_have_tags(bytes(request.action)):
        request.action = untagged(msgspec.json.decode(request.action))
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
            written: Observed = copy(reply)
            written.observation = _observation(reply.observation)
            if reply.metadata:
                written.metadata = WRITTEN.fields(reply.metadata)
            if type(reply.reward) not in _NUMBERS:
                written.reward = Raw(to_json(reply.reward))  # type: ignore[assignment]  # as it is written
            return _encode(written)
        case StateIs():
            return _encode(structs.replace(reply, state=_value(reply.state)))
        case Failed():
            return _encode(structs.replace(reply, details=TAGGED.fields(reply.details)))
    return _encode(reply)


def _observation(observation: Any) -> Any:
    if type(observation) is Raw:  # it is text already
        return observation
    beside = fields_beside(type(observation))
    return WRITTEN.model(observation, beside) if is_model(observation) else WRITTEN.write(observation)


def _value(value: Any, exclude: set[str] | None = None) -> Any:
    """A value as JSON values, or as text where that takes one pass."""
    text = plain_json(value, exclude)
    if text is not None:
        return Raw(text)
    return WRITTEN.model(value, exclude) if is_model(value) else WRITTEN.write(value)
