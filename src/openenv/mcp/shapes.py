"""From what the environment gives to what MCP shows an agent: content, structured content, and whether it failed."""

from __future__ import annotations

from typing import Any

from openenv.mcp.messages import INVALID_PARAMS, RESOURCE_NOT_FOUND, McpError
from openenv.mcp.versions import Era

__all__ = ["call_result", "error_result", "resource_not_found"]


def call_result(observation: dict[str, Any], era: Era) -> dict[str, Any]:
    """The result of a ``tools/call``. Reward and done are not in it.

    Args:
        observation: A ``CallToolObservation`` as JSON. The blocks in its ``content`` are those of MCP.
        era: In the older one, structured content that is not an object is left out, for it may not be there.

    Raises:
        McpError: There is no such tool (-32602).
    """
    error = observation.get("error")
    if error is not None:
        if error["error_type"] == "tool_not_found":
            raise McpError(INVALID_PARAMS, error["message"])
        return error_result(error["message"])
    found = observation.get("result") or {}
    result: dict[str, Any] = {"content": found.get("content") or []}
    structured = found.get("structured_content")
    if structured is not None and (era is Era.STATELESS or isinstance(structured, dict)):
        result["structuredContent"] = structured
    if found.get("is_error"):
        result["isError"] = True
    if isinstance(found.get("meta"), dict):
        result["_meta"] = found["meta"]
    return result


def error_result(message: str) -> dict[str, Any]:
    """The result of a call that failed, with what a model can do about it."""
    return {"content": [{"type": "text", "text": message}], "isError": True}


def resource_not_found(uri: str, era: Era) -> McpError:
    """The refusal to read what is not there."""
    code = RESOURCE_NOT_FOUND if era is Era.OLDER else INVALID_PARAMS
    return McpError(code, f"Resource not found: {uri}", {"uri": uri})
