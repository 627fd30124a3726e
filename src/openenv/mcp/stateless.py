"""A request of the stateless era: what it says of itself, and what its answer says beside the result."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from openenv.mcp.headers import PROTOCOL_VERSION_KEY, PostHeaders, check_routing
from openenv.mcp.messages import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    UNSUPPORTED_VERSION,
    McpError,
    Request,
    RequestId,
)
from openenv.mcp.versions import STATELESS, SUPPORTED

__all__ = [
    "ASKING_METHODS",
    "LOG_LEVELS",
    "METHODS",
    "Envelope",
    "check_method",
    "complete",
    "declares",
    "discover_result",
    "input_required",
    "missing_capability",
    "read_envelope",
    "unsupported_version",
]

_PREFIX = "io.modelcontextprotocol/"
_CAPABILITIES, _CLIENT_INFO = f"{_PREFIX}clientCapabilities", f"{_PREFIX}clientInfo"
_LOG_LEVEL, _SERVER_INFO = f"{_PREFIX}logLevel", f"{_PREFIX}serverInfo"

LOG_LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
"""From the least to the most severe."""

_CACHEABLE = frozenset(
    ("tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read", "server/discover")
)
METHODS = frozenset((*_CACHEABLE, "tools/call", "prompts/get", "completion/complete", "subscriptions/listen"))
"""What may be asked in this era."""

ASKING_METHODS = frozenset(("tools/call", "prompts/get", "resources/read"))
"""What may be answered with ``input_required``."""


class Envelope(Struct, frozen=True):
    """What a stateless request says of itself in ``_meta`` and beside it.

    Attributes:
        version: Of MCP.
        client_info: Name and version of the client; ``None`` if it does not tell.
        capabilities: What the client can do when it is asked.
        log_level: The least severe messages that it wants while the request runs; ``None`` for none at all.
        progress_token: What progress of the request is told under; ``None`` if none is wanted.
        input_responses: Answers to what was asked before, by the names of the questions.
        request_state: What ``input_required`` gave it, unread; ``None`` in the first round.
    """

    version: str
    client_info: dict[str, Any] | None = None
    capabilities: dict[str, Any] = {}
    log_level: str | None = None
    progress_token: RequestId | None = None
    input_responses: dict[str, dict[str, Any]] = {}
    request_state: str | None = None


def read_envelope(headers: PostHeaders | None, request: Request) -> Envelope:
    """Check a stateless request against its headers, and take what it says of itself.

    Args:
        headers: What came beside it over HTTP; ``None`` over anything else, where nothing is repeated.
        request: The request. Whether its method exists is not looked at; ``check_method`` does that.

    Raises:
        McpError: Something is missing or of the wrong type (-32602), the headers say something else (-32020), or the
            version is none of this era (-32022); all with status 400.
    """
    meta = request.params.get("_meta")
    if not isinstance(meta, dict):
        raise _invalid(f"'_meta' must be an object with '{PROTOCOL_VERSION_KEY}' and '{_CAPABILITIES}'", request)
    for key in (PROTOCOL_VERSION_KEY, _CAPABILITIES):
        if key not in meta:
            raise _invalid(f"'_meta' needs '{key}'", request)
    version = meta[PROTOCOL_VERSION_KEY]
    if headers is not None:
        check_routing(headers, request, version)
    if not isinstance(version, str):
        raise _invalid(f"'{PROTOCOL_VERSION_KEY}' must be a string", request)
    if version not in STATELESS:
        raise unsupported_version(version, SUPPORTED, request.id)
    capabilities, level = meta[_CAPABILITIES], meta.get(_LOG_LEVEL)
    info, token = meta.get(_CLIENT_INFO), meta.get("progressToken")
    state = request.params.get("requestState")
    if not isinstance(capabilities, dict):
        raise _invalid(f"'{_CAPABILITIES}' must be an object", request)
    if info is not None and not isinstance(info, dict):
        raise _invalid(f"'{_CLIENT_INFO}' must be an object", request)
    if level is not None and level not in LOG_LEVELS:
        raise _invalid(f"'{_LOG_LEVEL}' must be one of {', '.join(LOG_LEVELS)}", request)
    if token is not None and (not isinstance(token, (int, str)) or isinstance(token, bool)):
        raise _invalid("'progressToken' must be a string or an integer", request)
    if state is not None and not isinstance(state, str):
        raise _invalid("'requestState' must be a string", request)
    return Envelope(version, info, capabilities, level, token, _responses(request), state)


def _responses(request: Request) -> dict[str, dict[str, Any]]:
    found = request.params.get("inputResponses")
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise _invalid("'inputResponses' must be an object of objects", request)
    return found


def check_method(request: Request) -> None:
    """Whether the method exists in this era.

    Raises:
        McpError: It does not (-32601, status 404).
    """
    if request.method not in METHODS:
        message = f"Method not found: {request.method}"
        raise McpError(METHOD_NOT_FOUND, message, http_status=404, id=request.id)


def unsupported_version(version: str, supported: tuple[str, ...], id: RequestId | None = None) -> McpError:
    """The refusal of a version; a client goes on with one of those that are supported."""
    data = {"supported": [*supported], "requested": version}
    return McpError(UNSUPPORTED_VERSION, f"Unsupported protocol version: {version}", data, id=id)


def declares(capabilities: dict[str, Any], needed: dict[str, Any]) -> bool:
    """Whether what a client can do covers what is needed, such as ``{"elicitation": {"url": {}}}``.

    Who declares elicitation without saying which kind means forms.
    """
    for name, inner in needed.items():
        found = capabilities.get(name)
        if not isinstance(found, dict):
            return False
        if name == "elicitation" and not found:
            found = {"form": {}}
        if isinstance(inner, dict) and not declares(found, inner):
            return False
    return True


def missing_capability(required: dict[str, Any], id: RequestId | None = None) -> McpError:
    """The refusal of a request that needs a client which can do more.

    Args:
        required: Client capabilities, such as ``{"sampling": {}}``.
        id: Of the request.
    """
    names = ", ".join(required)
    message = f"This needs a client that declares: {names}"
    return McpError(MISSING_CAPABILITY, message, {"requiredCapabilities": required}, id=id)


def discover_result(
    server_info: dict[str, Any], capabilities: dict[str, Any], instructions: str | None
) -> dict[str, Any]:
    """The answer to ``server/discover``, complete."""
    result: dict[str, Any] = {"supportedVersions": [*SUPPORTED], "capabilities": capabilities}
    if instructions:
        result["instructions"] = instructions
    return complete(result, "server/discover", server_info)


def complete(result: dict[str, Any], method: str, server_info: dict[str, Any]) -> dict[str, Any]:
    """A result with what this era wants beside it.

    Lists and what is read may be kept by nobody (``ttlMs`` 0, ``cacheScope`` private), because an episode changes them;
    a result that says something else about that is left as it is.
    """
    found = {"resultType": "complete", **result, "_meta": _meta(result, server_info)}
    if method in _CACHEABLE:
        found.setdefault("ttlMs", 0)
        found.setdefault("cacheScope", "private")
    return found


def input_required(
    requests: dict[str, dict[str, Any]], state: str, server_info: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The result that asks the client something first.

    Args:
        requests: What is asked, by name: ``{"method": "elicitation/create", "params": {...}}``.
        state: What the client sends back beside its answers, as ``request_state.sealed`` made it.
        server_info: Who asks.
    """
    found: dict[str, Any] = {"resultType": "input_required", "inputRequests": requests, "requestState": state}
    if server_info is not None:
        found["_meta"] = _meta({}, server_info)
    return found


def _meta(result: dict[str, Any], server_info: dict[str, Any]) -> dict[str, Any]:
    return {**(result.get("_meta") or {}), _SERVER_INFO: server_info}


def _invalid(message: str, request: Request) -> McpError:
    return McpError(INVALID_PARAMS, f"Invalid params: {message}", id=request.id)
