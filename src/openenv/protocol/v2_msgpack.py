"""Protocol v2 in msgpack: frames to messages and back, for both ends."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Raw, structs

from openenv.errors import ActionInvalid, InvalidRequest, LocalProtocolError, OpenEnvError, RemoteProtocolError
from openenv.protocol.apart import ApartForm
from openenv.protocol.batch import MOST_IN_BATCH, each_decoded
from openenv.protocol.binary import BINARY_FORM, extension
from openenv.protocol.encoding import UNENCODABLE, fields_beside, is_model
from openenv.protocol.faults import explained
from openenv.protocol.lossy import unencodable
from openenv.protocol.messages import (
    Close,
    Failed,
    GetOutcome,
    GetState,
    GrantAgent,
    Observed,
    Open,
    Reply,
    Request,
    Reset,
    Resume,
    StateIs,
    Step,
)
from openenv.protocol.v2 import REPLIES
from openenv.types.forms import Form
from openenv.types.kinds import Malformed

__all__ = ["MsgpackClientCodec", "MsgpackServerCodec"]

_encode = msgspec.msgpack.Encoder().encode
_REQUESTS = Open | Resume | Reset | Step | GetState | GetOutcome | GrantAgent | Close
_decode_requests = msgspec.msgpack.Decoder(list[_REQUESTS], ext_hook=extension).decode
_decode_request = msgspec.msgpack.Decoder(_REQUESTS, ext_hook=extension).decode
_decode_reply = msgspec.msgpack.Decoder(REPLIES, ext_hook=extension).decode
_decode_replies = msgspec.msgpack.Decoder(list[REPLIES], ext_hook=extension).decode


class _Address(msgspec.Struct):
    session: str = ""
    id: int = 0


_UNREADABLE = (Malformed, msgspec.DecodeError, UnicodeError, RecursionError)


class MsgpackServerCodec:
    """The server's end."""

    subprotocol = "openenv.v2.msgpack"

    def decode(self, frame: str | bytes) -> Request:
        """A frame as a request. Keys that are not known are passed over.

        Raises:
            UnknownType, InvalidRequest: What is wrong with the frame, and where.
        """
        if isinstance(frame, str):
            raise InvalidRequest("this connection speaks msgpack; send binary frames, or ask for openenv.v2.json")
        try:
            request: Request = _decode_request(frame)
        except msgspec.ValidationError as error:
            raise explained(frame, error, msgspec.msgpack.decode) from None
        except _UNREADABLE as error:
            raise InvalidRequest(f"the frame cannot be read: {error}", details=_address(frame)) from None
        return _readable(request)

    def decode_all(self, frame: str | bytes) -> list[Request | OpenEnvError]:
        """The requests of an array; in the place of one that cannot be read, what is wrong with it.

        Raises:
            InvalidRequest: It is no array that can be read, or too long.
        """
        if isinstance(frame, bytes):
            with suppress(*_UNREADABLE):  # else each by itself tells which it is
                found = _decode_requests(frame)
                if 0 < len(found) <= MOST_IN_BATCH:
                    return [_readable(request) for request in found]
        return each_decoded(self.decode, frame)

    def encode(self, reply: Reply) -> bytes:
        """A reply as a frame. A value that has no form becomes a ``Failed`` that carries the rest."""
        try:
            apart = ApartForm()
            frame = apart.whole(_encode(_written(reply, apart)))
            return _encode(_written(reply)) if frame is None else frame
        except UNENCODABLE as error:
            return _encode(_written(unencodable(reply, error, BINARY_FORM)))


class MsgpackClientCodec:
    """The client's end."""

    subprotocol = "openenv.v2.msgpack"

    def encode(self, request: Request) -> bytes:
        """A request as a frame.

        Raises:
            ActionInvalid: The action has no form.
            LocalProtocolError: Another argument has none.
        """
        if isinstance(request, Step):
            try:
                action = request.action
                action = msgspec.json.decode(action) if isinstance(action, Raw) else _value(action)
                request = structs.replace(request, action=Raw(_encode(action)))
            except UNENCODABLE as error:
                raise ActionInvalid(f"the action cannot be sent: {error}") from error
        try:
            if isinstance(request, Step | Reset) and request.options:
                request = structs.replace(request, options=BINARY_FORM.fields(request.options))
            return _encode(request)
        except UNENCODABLE as error:
            raise LocalProtocolError(f"the options cannot be sent: {error}") from error

    def decode(self, frame: str | bytes) -> Reply:
        """A frame as a reply.

        Raises:
            RemoteProtocolError: The server sent what this version does not know.
        """
        if isinstance(frame, str):
            raise RemoteProtocolError("the server sent a text frame this client cannot read: it speaks msgpack")
        try:
            reply: Reply = _decode_reply(frame)
        except _UNREADABLE as error:
            raise RemoteProtocolError(f"the server sent a frame this client cannot read: {error}") from None
        return reply

    def decode_all(self, frame: str | bytes) -> list[Reply]:
        """An array as replies.

        Raises:
            RemoteProtocolError: The server sent what this version does not know.
        """
        try:
            replies: list[Reply] = [*_decode_replies(frame)]  # type: ignore[arg-type]  # text is refused below
        except (TypeError, *_UNREADABLE) as error:
            raise RemoteProtocolError(f"the server sent a frame this client cannot read: {error}") from None
        return replies


def _written(reply: Reply, form: Form = BINARY_FORM) -> Reply:
    """The reply with values as msgspec writes them."""
    match reply:
        case Observed():
            observation = reply.observation
            if type(observation) is Raw:  # it was written for a journal already
                observation = msgspec.json.decode(observation)
            return structs.replace(
                reply,
                observation=_value(observation, fields_beside(type(observation)), form),
                metadata=form.fields(reply.metadata) if reply.metadata else reply.metadata,
                reward=_number(reply.reward),
            )
        case StateIs():
            return structs.replace(reply, state=_value(reply.state, None, form))
        case Failed():
            return structs.replace(reply, details=form.fields(reply.details))
    return reply


def _value(value: Any, exclude: set[str] | None = None, form: Form = BINARY_FORM) -> Any:
    return form.model(value, exclude) if is_model(value) else form.write(value)


def _number(reward: Any) -> Any:
    """A reward of any numeric type as msgpack has it: an integer beyond 64 bits as float."""
    if hasattr(reward, "item"):  # a scalar of numpy
        reward = reward.item()
    is_long = type(reward) is int and not -(2**63) <= reward < 2**64
    return reward if type(reward) in (int, float, bool, type(None)) and not is_long else float(reward)


def _readable(request: Request) -> Request:
    """The request with an action of plain JSON as text, of which pydantic reads more than of Python's values."""
    if isinstance(request, Step) and _is_json(request.action):
        request.action = Raw(msgspec.json.encode(request.action))
    return request


def _address(frame: bytes) -> dict[str, Any]:
    """Which session and request a frame is about whose values cannot be read."""
    try:
        return structs.asdict(msgspec.msgpack.decode(frame, type=_Address))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}


def _is_json(value: Any) -> bool:
    """Whether a value that was read is made of what JSON has."""
    kind: type[Any] = type(value)
    if kind is dict:
        return all(type(key) is str and _is_json(item) for key, item in value.items())
    if kind is list:
        return all(map(_is_json, value))
    if kind is float:
        return math.isfinite(value)
    return kind in (str, int, bool, type(None))
