"""Protocol v1, spoken by every OpenEnv up to 0.10: one connection is one session, answered in order."""

from __future__ import annotations

from typing import Any

import msgspec

from openenv.errors import (
    ERRORS,
    ActionInvalid,
    CapacityReached,
    FactoryFailed,
    InvalidJSON,
    InvalidRequest,
    LocalProtocolError,
    OpenEnvError,
    RemoteProtocolError,
    UnknownType,
)
from openenv.protocol.encoding import EncodingFailed, fields_beside, json_pieces, to_json
from openenv.protocol.faults import fault
from openenv.protocol.lossy import lost_values, metadata_json, unencodable
from openenv.protocol.messages import (
    Close,
    Failed,
    GetState,
    Mcp,
    McpReply,
    Observed,
    Reply,
    Request,
    Reset,
    StateIs,
    Step,
)
from openenv.protocol.plain import observation_text

__all__ = ["V1ClientCodec", "V1ServerCodec", "http_observation"]

_NOTHING = msgspec.Raw(b"{}")
_encode = msgspec.json.Encoder(enc_hook=lambda value: msgspec.Raw(to_json(value))).encode
_NUMBERS = (float, bool, type(None))
_KNOWN = ("reset", "step", "state", "close", "mcp")
_TELLS_MORE = (CapacityReached.code, FactoryFailed.code)  # their details stand beside the message


class _Frame(msgspec.Struct):
    type: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    request_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode_frame = msgspec.json.Decoder(_Frame).decode


class V1ServerCodec:
    """The server's end. Requests are answered in the order they came, so one ``request_id`` is open at a time."""

    subprotocol = None

    def __init__(self) -> None:
        self._echo = b""

    def decode(self, frame: str | bytes) -> Request:
        """A frame as a request. Keys that are not known are passed over, a ``request_id`` is echoed.

        Raises:
            InvalidJSON, UnknownType, InvalidRequest: What is wrong with the frame, and where.
        """
        self._echo = b""
        try:
            parsed = _decode_frame(frame)
        except msgspec.ValidationError as error:
            if frame.lstrip()[:1] not in ("{", b"{"):
                raise InvalidJSON('a frame must be a JSON object, such as {"type": "reset"}') from None
            raise UnknownType(f"the frame needs a text 'type', one of {', '.join(_KNOWN)}: {error}") from None
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise InvalidJSON(f"the frame is not JSON: {error}") from None
        if parsed.request_id is not msgspec.UNSET:
            self._echo = b',"request_id":' + bytes(parsed.request_id)
        data = _NOTHING if parsed.data is msgspec.UNSET else parsed.data
        match parsed.type:
            case "step":
                return Step(action=data)
            case "reset":
                return _reset(data)
            case "state":
                return GetState()
            case "close":
                return Close()
            case "mcp":
                return Mcp(payload=data)
        raise UnknownType(f"unknown type {parsed.type!r}; known are {', '.join(_KNOWN)}")

    def decode_all(self, frame: str | bytes) -> list[Request | OpenEnvError]:
        """v1 has no arrays; raises ``InvalidJSON``."""
        return [self.decode(frame)]

    def encode(self, reply: Reply) -> str | None:
        """A reply as a frame; ``None`` for messages that v1 does not have."""
        if type(reply) is Observed and not reply.metadata and type(reply.reward) in _NUMBERS:
            text = observation_text(reply.observation)
            if text is not None:  # as ``http_observation`` has it, in one go: most answers are like this
                comma = "," if len(text) > 2 else ""
                reward = repr(reply.reward) if type(reply.reward) is float else _encode(reply.reward).decode()
                echo, self._echo = self._echo, b""
                return (
                    f'{{"type":"observation","data":{{"observation":{text[:-1].decode()}{comma}"metadata":{{}}}},'
                    f'"reward":{reward},"done":{"true" if reply.done else "false"}}}{echo.decode()}}}'
                )
        try:
            frame = self._frame(reply)
        except (EncodingFailed, TypeError, ValueError, RecursionError) as error:
            frame = self._frame(unencodable(reply, error))
        if frame is None:
            return None
        echo, self._echo = self._echo, b""  # once: an error about the next frame must not carry it
        return b"".join((*frame, echo, b"}")).decode()

    def _frame(self, reply: Reply) -> list[bytes] | None:
        """A frame in pieces, without its last brace."""
        match reply:
            case Observed():
                return [b'{"type":"observation","data":', *_pieces(reply, omit_empty=True)]
            case StateIs():
                return [b'{"type":"state","data":', to_json(reply.state)]
            case McpReply():
                return [b'{"type":"mcp","data":', to_json(reply.payload)]
            case Failed():
                return [b'{"type":"error","data":', to_json(_error_data(reply))]
        return None


def http_observation(reply: Observed, *, omit_empty: bool) -> bytes:
    """The object that v1 frames and plain HTTP answers share.

    Metadata stands both inside the observation and at the top; at the top, empty metadata is left out
    (WebSocket) or null (HTTP). The seed and name of an episode that was begun stand at the top over HTTP alone.
    """
    return b"".join(_pieces(reply, omit_empty=omit_empty))


def _pieces(reply: Observed, *, omit_empty: bool) -> list[bytes]:
    text = observation_text(reply.observation)
    if text is None:
        *before, last = json_pieces(reply.observation, fields_beside(type(reply.observation)))
        packed = metadata_json(reply, b"".join((*before[::2], last)))  # in arrays, nothing is lost
    else:  # nothing in it is lost
        before, last = [], text
        packed = metadata_json(reply, b"") if reply.metadata else b"{}"
    joint = b"," if before or len(last) > 2 else b""
    parts = [
        b'{"observation":', *before, last[:-1], joint, b'"metadata":', packed, b'},"reward":',
        _reward_json(reply.reward), b',"done":', b"true" if reply.done else b"false",
    ]  # fmt: skip
    if packed != b"{}":
        parts += [b',"metadata":', packed]
    elif not omit_empty:
        parts.append(b',"metadata":null')
    if not omit_empty and reply.seed is not None:
        parts += [b',"seed":', _encode(reply.seed), b',"episode_id":', _encode(reply.episode_id)]
    parts.append(b"}")
    return parts


def _reward_json(reward: Any) -> bytes:
    return _encode(reward) if type(reward) in _NUMBERS else to_json(reward)


def _reset(data: msgspec.Raw) -> Reset:
    try:
        fields = msgspec.json.decode(data, type=dict[str, Any] | None) or {}
        known = {name: fields.pop(name) for name in ("seed", "episode_id") if name in fields}
        return msgspec.convert({**known, "options": fields, "type": "reset"}, type=Reset)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"reset: {error}", details={"errors": [fault(error)]}) from None
    except RecursionError as error:
        raise InvalidRequest(f"reset: {error}") from None


def _error_data(reply: Failed) -> dict[str, Any]:
    """The v1 form of an error: one of the codes v1 knows, the newer code in ``errors``."""
    cls = ERRORS.get(reply.code)
    v1_code = cls.v1_code if cls else "EXECUTION_ERROR"
    data: dict[str, Any] = {"message": reply.message, "code": v1_code}
    if reply.code in _TELLS_MORE:
        return {**reply.details, **data}
    if reply.details.get("errors"):
        first, *more = reply.details["errors"]
        newer = {} if v1_code == reply.code else {"code": reply.code}
        data["errors"] = [{**newer, **first}, *more]
    elif v1_code != reply.code:
        data["errors"] = [{"code": reply.code, **reply.details}]
    return data


class V1ClientCodec:
    """The client's end. v1 has no ids: the caller keeps one request open at a time."""

    subprotocol = None

    def encode(self, request: Request) -> str:
        """A request as a frame.

        Raises:
            ActionInvalid: The action has no form in plain JSON.
            LocalProtocolError: The request has an argument that has none, or for which v1 has no place.
        """
        match request:
            case Step():
                if request.options:
                    names = ", ".join(sorted(request.options))
                    raise LocalProtocolError(
                        f"this server speaks protocol v1, whose step takes no arguments beside the action: {names}"
                    )
                return '{"type":"step","data":' + _action_json(request.action).decode() + "}"
            case Reset():
                given = {"seed": request.seed, "episode_id": request.episode_id}
                data = {**{k: v for k, v in given.items() if v is not None}, **request.options}
                return '{"type":"reset","data":' + _options_json(data).decode() + "}"
            case GetState():
                return '{"type":"state"}'
            case Close():
                return '{"type":"close"}'
        raise LocalProtocolError(f"protocol v1 has no {type(request).__name__}")

    def decode(self, frame: str | bytes) -> Reply:
        """A frame as a reply.

        Raises:
            RemoteProtocolError: The server sent what this version does not know.
        """
        try:
            parsed = _decode_frame(frame)
            data: Any = msgspec.json.decode(parsed.data) if parsed.data is not msgspec.UNSET else None
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise RemoteProtocolError(f"the server sent a frame this client cannot read: {error}") from None
        match parsed.type, data:
            case "observation", {"observation": observation, **rest}:
                return _observed(observation, rest)
            case "state", _:
                return StateIs(state=data)
            case "error", {"message": str(message), "code": str(code), **details}:
                return _failed(code, message, details)
        raise RemoteProtocolError(f"the server sent a {parsed.type!r} frame this client cannot read")

    def decode_all(self, frame: str | bytes) -> list[Reply]:
        """v1 has no arrays; raises ``RemoteProtocolError``."""
        return [self.decode(frame)]


def _action_json(action: Any) -> bytes:
    if isinstance(action, msgspec.Raw):
        return bytes(action)
    try:
        encoded = to_json(action)
    except EncodingFailed as error:
        raise ActionInvalid(f"the action cannot be sent as JSON: {error}") from error
    if lost := lost_values(action, encoded):  # the environment would act on null instead
        raise ActionInvalid(f"the action cannot be sent as JSON: {lost[0]} is not a finite number")
    return encoded


def _options_json(options: dict[str, Any]) -> bytes:
    try:
        encoded = to_json(options)
    except EncodingFailed as error:
        raise LocalProtocolError(f"the options cannot be sent as JSON: {error}") from error
    if lost := lost_values(options, encoded):
        raise LocalProtocolError(f"the options cannot be sent as JSON: {lost[0]} is not a finite number")
    return encoded


def _observed(observation: Any, rest: dict[Any, Any]) -> Observed:
    nested = observation.pop("metadata", None) if isinstance(observation, dict) else None
    done = bool(rest.get("done", False))
    return Observed(
        observation=observation,
        reward=rest.get("reward"),
        done=done,
        terminated=done,
        metadata=rest.get("metadata") or nested or {},
    )


def _failed(code: str, message: str, details: dict[Any, Any]) -> Failed:
    """A v1 error, under its newer code where the server sent one."""
    match details.get("errors"):
        case [{"code": str(newer)} as first, *more] if newer in ERRORS:
            told = {name: value for name, value in first.items() if name != "code"}
            about = {"errors": [told, *more]} if "loc" in told else told  # a field's error, or facts about the whole
            return Failed(code=newer, message=message, details=about, retryable=ERRORS[newer].retryable)
    known = ERRORS.get(code)
    return Failed(code=code, message=message, details=details, retryable=bool(known and known.retryable))
