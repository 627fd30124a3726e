"""JSON-RPC messages: read, checked and written."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

__all__ = [
    "HEADER_MISMATCH",
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "METHOD_NOT_FOUND",
    "MISSING_CAPABILITY",
    "MOST_IN_BATCH",
    "PARSE_ERROR",
    "RESOURCE_NOT_FOUND",
    "SESSION_NOT_FOUND",
    "UNSUPPORTED_VERSION",
    "McpError",
    "Message",
    "Notification",
    "Request",
    "RequestId",
    "Response",
    "error_bytes",
    "is_batch",
    "notification_bytes",
    "read",
    "read_batch",
    "request_bytes",
    "result_bytes",
    "status_of",
]

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

SESSION_NOT_FOUND = -32001
"""What is said, with status 404, of an ``Mcp-Session-Id`` that is not known (any more)."""

RESOURCE_NOT_FOUND = -32002
"""In the older era alone; the stateless one says ``INVALID_PARAMS``."""

HEADER_MISMATCH = -32020
MISSING_CAPABILITY = -32021
UNSUPPORTED_VERSION = -32022

MOST_IN_BATCH = 100
"""Messages in one array."""

RequestId: TypeAlias = int | str

_STATUS = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    METHOD_NOT_FOUND: 404,
    INVALID_PARAMS: 400,
    INTERNAL_ERROR: 200,
    HEADER_MISMATCH: 400,
    MISSING_CAPABILITY: 400,
    UNSUPPORTED_VERSION: 400,
}
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
_ARRAY = re.compile(rb"[ \t\r\n]*\[")
_UNWRITABLE = (TypeError, ValueError, OverflowError, RecursionError)  # UnicodeError, EncodeError are ValueErrors


class McpError(Exception):
    """An error as JSON-RPC tells it.

    Args:
        code: One of the constants of this module, or a server's own.
        message: What is wrong, in a sentence; the peer sees it.
        data: More, as a JSON value.
        http_status: What it is over HTTP where it refuses the request itself. What comes out of a request that was
            taken is told with 200 in the older era, and with ``status_of(code)`` in the stateless one.
        id: Of the request that it answers, where that could be read.
    """

    def __init__(
        self, code: int, message: str, data: Any = None, http_status: int = 400, id: RequestId | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.http_status = http_status
        self.id = id


def status_of(code: int) -> int:
    """The HTTP status of an answer with this error in the stateless era."""
    return _STATUS.get(code, 200)


class Request(Struct, frozen=True):
    """A message that is answered."""

    id: RequestId
    method: str
    params: dict[str, Any] = {}

    @property
    def meta(self) -> dict[str, Any]:
        """Its ``_meta``; empty where there is none."""
        found = self.params.get("_meta")
        return found if isinstance(found, dict) else {}


class Notification(Struct, frozen=True):
    """A message that is never answered."""

    method: str
    params: dict[str, Any] = {}


class Response(Struct, frozen=True):
    """An answer: with a result, or with an error.

    Attributes:
        id: Of the request; ``None`` with an error alone, whose request could not be read.
        result: A JSON object; ``None`` if there is an error.
        error: What went wrong.
    """

    id: RequestId | None
    result: dict[str, Any] | None = None
    error: McpError | None = None


Message: TypeAlias = Request | Notification | Response


def read(body: bytes | str) -> Message:
    """One message, of either side.

    Raises:
        McpError: It is not JSON (-32700), or not one JSON-RPC message (-32600); an array of them is refused too.
    """
    found = _decoded(body)
    if isinstance(found, list):
        raise McpError(INVALID_REQUEST, "Invalid request: send one message, not an array of them")
    return _message(found)


def is_batch(body: bytes) -> bool:
    """Whether a body is an array, of messages or of anything else, if it is JSON."""
    return _ARRAY.match(body) is not None


def read_batch(body: bytes) -> list[Message | McpError]:
    """The messages of an array; in the place of each that is none, what is wrong with it.

    Raises:
        McpError: It is not JSON (-32700), or no array of 1 to ``MOST_IN_BATCH`` messages (-32600).
    """
    found = _decoded(body)
    if not isinstance(found, list) or not found:
        raise McpError(INVALID_REQUEST, "Invalid request: the array has no messages")
    if len(found) > MOST_IN_BATCH:
        said = f"Invalid request: an array has at most {MOST_IN_BATCH} messages, not {len(found)}"
        raise McpError(INVALID_REQUEST, said)
    return [_message_or_error(one) for one in found]


def _decoded(body: bytes | str) -> object:
    try:
        found: object = msgspec.json.decode(body)
    except _UNREADABLE:
        raise McpError(PARSE_ERROR, "Parse error: the body is not JSON") from None
    return found


def _message_or_error(found: object) -> Message | McpError:
    try:
        return _message(found)
    except McpError as error:
        return error


def _message(found: object) -> Message:
    if not isinstance(found, dict):
        raise McpError(INVALID_REQUEST, "Invalid request: a message is a JSON object")
    known = found.get("id")
    id = known if isinstance(known, (int, str)) and not isinstance(known, bool) else None
    if found.get("jsonrpc") != "2.0":
        raise McpError(INVALID_REQUEST, "Invalid request: 'jsonrpc' must be \"2.0\"", id=id)
    if "method" not in found and ("result" in found or "error" in found):
        return _response(found, id)
    if "id" in found and id is None:
        raise McpError(INVALID_REQUEST, "Invalid request: 'id' must be a string or an integer")
    method, params = found.get("method"), found.get("params")
    if not isinstance(method, str):
        raise McpError(INVALID_REQUEST, "Invalid request: 'method' must be a string", id=id)
    if params is None:
        params = {}
    elif not isinstance(params, dict):
        raise McpError(INVALID_PARAMS, "Invalid params: 'params' must be an object", id=id)
    return Notification(method, params) if id is None else Request(id, method, params)


def _response(found: dict[str, Any], id: RequestId | None) -> Response:
    if "error" not in found:
        result = found["result"]
        if id is None or not isinstance(result, dict):
            raise McpError(INVALID_REQUEST, "Invalid response: it needs an 'id' and an object as 'result'", id=id)
        return Response(id, result)
    error = found["error"]
    if not isinstance(error, dict) or not isinstance(error.get("code"), int):
        raise McpError(INVALID_REQUEST, "Invalid response: 'error' must be an object with an integer 'code'", id=id)
    message = error.get("message")
    said = message if isinstance(message, str) else "no message"
    return Response(id, error=McpError(error["code"], said, error.get("data"), id=id))


def request_bytes(id: RequestId, method: str, params: dict[str, Any] | None = None) -> bytes:
    """A request; without parameters where they are ``None``."""
    return _written({"jsonrpc": "2.0", "id": id, "method": method}, "params", params, id)


def notification_bytes(method: str, params: dict[str, Any] | None = None) -> bytes:
    """A notification; without parameters where they are ``None``."""
    return _written({"jsonrpc": "2.0", "method": method}, "params", params, None)


def result_bytes(id: RequestId, result: dict[str, Any]) -> bytes:
    """A response with a result.

    Raises:
        McpError: Something in the result has no form in JSON (-32603).
    """
    return _written({"jsonrpc": "2.0", "id": id}, "result", result, id)


def error_bytes(id: RequestId | None, error: McpError) -> bytes:
    """A response with an error; data that has no form in JSON is left out."""
    told: dict[str, Any] = {"code": error.code, "message": error.message}
    head = {"jsonrpc": "2.0", "id": id}
    if error.data is not None:
        try:
            return _written(head, "error", {**told, "data": error.data}, id)
        except McpError:
            pass
    message = error.message.encode("utf-8", "replace").decode()
    return msgspec.json.encode({**head, "error": {**told, "message": message}})


def _written(head: dict[str, Any], key: str, value: Any, id: RequestId | None) -> bytes:
    try:
        return msgspec.json.encode(head if value is None else {**head, key: value})
    except _UNWRITABLE as problem:
        raise McpError(INTERNAL_ERROR, f"The {key} has no form in JSON: {problem}", http_status=200, id=id) from None
