"""The JSON-RPC of older OpenEnv clients on ``/mcp`` and in ``mcp`` frames: no handshake, and names in snake_case."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from openenv.mcp.headers import PostHeaders
from openenv.mcp.messages import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    McpError,
    RequestId,
)

__all__ = [
    "METHODS",
    "LegacyRequest",
    "answer",
    "call_answer",
    "closed_result",
    "created_result",
    "is_legacy",
    "read_legacy",
    "refusal",
    "tools_result",
    "unknown_session",
]

METHODS = frozenset(("tools/list", "tools/call", "openenv/session/create", "openenv/session/close"))
"""What such a client asks."""

_TOOL_KEYS = ("name", "title", "description", "inputSchema", "outputSchema", "icons", "annotations")
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


class LegacyRequest(Struct, frozen=True):
    """What such a client asks.

    Attributes:
        id: Comes back with the answer. ``None`` where there is none, which is answered all the same.
        method: One of ``METHODS``.
        params: Its parameters.
        session_id: Of a session that ``openenv/session/create`` made; ``None`` if none is named. On a WebSocket, whose
            session is its own, ``tools/list`` and ``tools/call`` do not look at it.
    """

    id: RequestId | None
    method: str
    params: dict[str, Any] = {}

    @property
    def session_id(self) -> str | None:
        found = self.params.get("session_id")
        return found if isinstance(found, str) and found else None


def is_legacy(headers: PostHeaders, body: bytes) -> bool:
    """Whether a POST to ``/mcp`` comes from such a client: by its method, and by all that an MCP client would send."""
    told = (headers.session_id, headers.version, headers.method, headers.last_event_id)
    if any(one is not None for one in told) or "text/event-stream" in headers.accept:
        return False
    found = _decoded(body)
    if not isinstance(found, dict) or found.get("method") not in [*METHODS]:
        return False
    params = found.get("params")
    return not isinstance(params, dict) or "_meta" not in params


def read_legacy(message: bytes | str | dict[str, Any]) -> LegacyRequest:
    """A request, as text or as the ``data`` of an ``mcp`` frame.

    Raises:
        McpError: It is not JSON (-32700), no request (-32600), of an unknown method (-32601), or lacks a parameter
            (-32602). ``refusal`` tells it.
    """
    found = message if isinstance(message, dict) else _decoded(message)
    if not isinstance(found, dict):
        raise _refused(PARSE_ERROR, "Parse error")
    id, method, params = found.get("id"), found.get("method"), found.get("params")
    if found.get("jsonrpc") != "2.0":
        raise _refused(INVALID_REQUEST, "Invalid request: 'jsonrpc' must be \"2.0\"")
    if id is not None and (not isinstance(id, (int, str)) or isinstance(id, bool)):
        raise _refused(INVALID_REQUEST, "Invalid request: 'id' must be a string or an integer")
    if not isinstance(method, str):
        raise _refused(INVALID_REQUEST, "Invalid request: 'method' must be a string")
    if params is not None and not isinstance(params, dict):
        raise _refused(INVALID_REQUEST, "Invalid request: 'params' must be an object")
    request = LegacyRequest(id, method, params or {})
    if method not in METHODS:
        raise _refused(METHOD_NOT_FOUND, f"Method not found: {method}", id)
    if method == "tools/call":
        if not isinstance(request.params.get("name"), str):
            raise _refused(INVALID_PARAMS, "Missing 'name' in params", id)
        if not isinstance(request.params.get("arguments", {}), dict):
            raise _refused(INTERNAL_ERROR, "'arguments' must be an object", id)
    if method == "openenv/session/close" and request.session_id is None:
        raise _refused(INVALID_PARAMS, "Invalid params - 'session_id' is required", id)
    return request


def answer(id: RequestId | None, result: dict[str, Any]) -> dict[str, Any]:
    """A response with a result."""
    return {"jsonrpc": "2.0", "id": id, "result": result}


def refusal(error: McpError) -> dict[str, Any]:
    """A response with an error; over HTTP it has status 200 like any other."""
    told = {"code": error.code, "message": error.message, "data": error.data}
    return {"jsonrpc": "2.0", "id": error.id, "error": told}


def tools_result(tools: list[dict[str, Any]]) -> dict[str, Any]:
    """The result of ``tools/list``.

    Args:
        tools: As MCP has them.
    """
    found = []
    for tool in tools:
        told = {key: tool.get(key) for key in _TOOL_KEYS}
        found.append({**told, "meta": tool.get("_meta"), "execution": tool.get("execution")})
    return {"tools": found}


def call_answer(id: RequestId | None, observation: dict[str, Any]) -> dict[str, Any]:
    """The response to ``tools/call``: a call that failed, for whatever reason, is an error (-32603).

    Args:
        id: Of the request.
        observation: A ``CallToolObservation`` as JSON.
    """
    error, found = observation.get("error"), observation.get("result") or {}
    content = found.get("content") or []
    if error is not None:
        return refusal(_refused(INTERNAL_ERROR, error["message"], id))
    if found.get("is_error"):
        said = "\n".join(block["text"] for block in content if block.get("type") == "text")
        return refusal(_refused(INTERNAL_ERROR, said or f"Error calling tool '{observation.get('tool_name')}'", id))
    result = {
        "content": [_block(block) for block in content],
        "structured_content": found.get("structured_content"),
        "meta": found.get("meta"),
        "data": found.get("data"),
        "is_error": False,
    }
    return answer(id, result)


def created_result(session_id: str) -> dict[str, Any]:
    """The result of ``openenv/session/create``."""
    return {"session_id": session_id}


def closed_result(session_id: str) -> dict[str, Any]:
    """The result of ``openenv/session/close``."""
    return {"session_id": session_id, "closed": True}


def unknown_session(request: LegacyRequest) -> McpError:
    """The refusal of a request for a session that is not there."""
    return _refused(INVALID_PARAMS, f"Unknown session_id: {request.session_id}", request.id)


def _decoded(text: bytes | str) -> object:
    try:
        return msgspec.json.decode(text)
    except _UNREADABLE:
        return None


def _block(block: dict[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in block.items() if key not in ("annotations", "meta", "_meta")}
    return {**told, "annotations": block.get("annotations"), "meta": block.get("_meta", block.get("meta"))}


def _refused(code: int, message: str, id: RequestId | None = None) -> McpError:
    return McpError(code, message, http_status=200, id=id)
