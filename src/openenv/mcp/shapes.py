"""From what the environment gives to what MCP shows an agent: content, structured content, and whether it failed."""

from __future__ import annotations

from typing import Any

from openenv.mcp.messages import INVALID_PARAMS, RESOURCE_NOT_FOUND, McpError
from openenv.mcp.versions import OLDER, Era

__all__ = ["call_result", "error_result", "for_version", "resource_not_found"]

_SINCE = {"audio": OLDER.index("2025-03-26"), "resource_link": OLDER.index("2025-06-18")}
"""Content that not every version has."""


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


def for_version(told: dict[str, Any], version: str) -> dict[str, Any]:
    """The same with text in the place of content that a version does not have, which says what was left out.

    Args:
        told: The result of a ``tools/call`` or ``prompts/get``, or the parameters of a ``sampling/createMessage``; it
            is not changed. Fields that a version does not have are left, for all of them let others stand there.
        version: Of the older era.
    """
    known = OLDER.index(version)
    if known >= max(_SINCE.values()):
        return told
    changed: dict[str, Any] = {}
    if isinstance(told.get("content"), list):
        changed["content"] = [_known(one, known) for one in told["content"]]
    if isinstance(told.get("messages"), list):
        changed["messages"] = [_known_message(one, known) for one in told["messages"]]
    return {**told, **changed}


def _known_message(message: Any, known: int) -> Any:
    if not isinstance(message, dict):
        return message
    content = message.get("content")
    found = [_known(one, known) for one in content] if isinstance(content, list) else _known(content, known)
    return {**message, "content": found}


def _known(block: Any, known: int) -> Any:
    if not isinstance(block, dict) or _SINCE.get(str(block.get("type")), 0) <= known:
        return block
    data, size = block.get("data"), block.get("size")
    if isinstance(data, str):
        size = len(data.rstrip("=")) * 3 // 4  # of base64
    said = [block.get("name"), block.get("uri"), block.get("mimeType"), None if size is None else f"{size} bytes"]
    what = "audio left out" if block["type"] == "audio" else "link"
    text = f"[{what}: {', '.join(str(one) for one in said if one)}]"
    kept = {"annotations": block["annotations"]} if "annotations" in block else {}
    return {"type": "text", "text": text, **kept}


def resource_not_found(uri: str, era: Era) -> McpError:
    """The refusal to read what is not there."""
    code = RESOURCE_NOT_FOUND if era is Era.OLDER else INVALID_PARAMS
    return McpError(code, f"Resource not found: {uri}", {"uri": uri})
