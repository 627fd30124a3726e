"""Requests over HTTP as values, and values as answers."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from openenv.errors import ERRORS, InvalidJSON, InvalidRequest, Unauthorized
from openenv.protocol import (
    EncodingFailed,
    Failed,
    Observed,
    StateIs,
    encodable_part,
    http_observation,
    to_json,
    unencodable,
)
from openenv.server.exchange import Answer, Request

__all__ = [
    "KEY_HEADER",
    "SESSION_COOKIE",
    "SESSION_HEADER",
    "encoded",
    "fields_of",
    "invalid",
    "json_answer",
    "key_of",
    "observation_answer",
    "options_of",
    "refusal",
    "session_cookie",
    "state_answer",
    "value_of",
]

SESSION_HEADER = "X-OpenEnv-Session"
KEY_HEADER = "Idempotency-Key"
SESSION_COOKIE = "openenv_session"
_LONGEST_KEY = 255
_RESERVED = {"seed", "episode_id", "timeout_s", "request_id", "action"}


def key_of(request: Request) -> str | None:
    """What names the request, so that it can be sent again."""
    key = request.header(KEY_HEADER.lower())
    if key is not None and not 0 < len(key) <= _LONGEST_KEY:
        raise InvalidRequest(f"{KEY_HEADER} must have 1 to {_LONGEST_KEY} characters")
    return key


def fields_of(body: bytes) -> dict[str, msgspec.Raw]:
    """The fields of a body, which is a JSON object."""
    try:
        return msgspec.json.decode(body or b"{}", type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        raise InvalidJSON("the body must be a JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJSON(f"the body is not JSON: {error}") from None


def options_of(fields: dict[str, msgspec.Raw]) -> dict[str, Any]:
    """Those that are not the protocol's own."""
    return {name: value_of(fields, name) for name in fields if name not in _RESERVED}


def value_of(fields: dict[str, msgspec.Raw], name: str) -> Any:
    """What a field says."""
    try:
        return msgspec.json.decode(fields[name])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJSON(f"{name} is not JSON: {error}") from None


def invalid(field: str, message: str) -> InvalidRequest:
    """The error for a field."""
    entry = {"loc": ["body", field], "msg": message, "type": "invalid"}
    return InvalidRequest(f"{field}: {message}", details={"errors": [entry]})


def observation_answer(reply: Observed) -> Answer:
    """The answer to a reset or step."""
    try:
        return json_answer(http_observation(reply, omit_empty=False))
    except EncodingFailed as error:
        return refusal(unencodable(reply, error))


def state_answer(reply: StateIs) -> Answer:
    """The answer to who asks for the state."""
    try:
        return json_answer(to_json(reply.state))
    except EncodingFailed as error:
        return refusal(unencodable(reply, error))


def refusal(failed: Failed) -> Answer:
    """An error as HTTP: its status, the fields that are wrong or the message, and the whole of it for programs."""
    details = encodable_part(failed.details)
    error = {
        "code": failed.code,
        "message": failed.message,
        "retryable": failed.retryable,
        "details": details,
    }
    body = {"detail": details.get("errors", failed.message), "error": error}
    answer = json_answer(encoded(body), ERRORS[failed.code].http_status)
    if "retry_after_s" in failed.details:
        answer.headers.append((b"retry-after", b"%d" % math.ceil(failed.details["retry_after_s"])))
    if failed.code == Unauthorized.code:
        answer.headers.append((b"www-authenticate", b"Bearer"))
    return answer


encoded = msgspec.json.Encoder(enc_hook=lambda value: msgspec.Raw(to_json(value))).encode


def json_answer(body: bytes, status: int = 200) -> Answer:
    """JSON text as an answer."""
    return Answer(body, status)


def session_cookie(value: str, more: str = "") -> bytes:
    """The cookie that names a session."""
    return f"{SESSION_COOKIE}={value}{more}; HttpOnly; Path=/; SameSite=strict".encode()
