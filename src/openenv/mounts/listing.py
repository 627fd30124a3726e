"""What an outside server offers, and what is taken of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from openenv.errors import ConfigurationError, ToolsetUnavailable
from openenv.mcp.happenings import Answer, Refused
from openenv.mounts.description import ServerDescription
from openenv.mounts.link import Link, Listener
from openenv.tools import Tool

__all__ = ["Mounted", "hash_of", "listed", "taken"]

_MOST_TOOLS = 10_000
_HASHED = ("name", "description", "inputSchema", "outputSchema", "annotations")


@dataclass(frozen=True)
class Mounted:
    """A tool of the server.

    Attributes:
        name: What the server calls it.
        tool: What it is here.
        digest: What it is pinned by.
        wraps: Whether its structured result is an object around the value, under ``result``.
    """

    name: str
    tool: Tool
    digest: str
    wraps: bool = False


def hash_of(tool: Mapping[str, Any]) -> str:
    """``sha256:`` and the hash of a tool as MCP lists it: its name, description, schemas and annotations."""
    told = {key: tool[key] for key in _HASHED if tool.get(key) is not None}
    return f"sha256:{hashlib.sha256(msgspec.json.encode(told, order='sorted')).hexdigest()}"


async def listed(name: str, link: Link) -> list[dict[str, Any]]:
    """All pages of the tools of a server.

    Raises:
        ToolsetUnavailable: It does not list them, or without end.
    """
    if "tools" not in link.opened.capabilities:
        return []
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    cursor: Any = None
    while True:
        answer = await link.request("tools/list", {} if cursor is None else {"cursor": cursor}, Listener())
        if isinstance(answer, Refused):
            raise ToolsetUnavailable(f"MCP server {name} does not list its tools: {answer.error.message}")
        page = answer.result.get("tools") if isinstance(answer, Answer) else None
        if not isinstance(page, list) or not all(isinstance(one, dict) for one in page):
            raise ToolsetUnavailable(f"MCP server {name} lists no tools, but something else")
        found += page
        cursor = answer.result.get("nextCursor") if isinstance(answer, Answer) else None
        if not isinstance(cursor, str):
            return found
        if cursor in seen or len(found) > _MOST_TOOLS:
            raise ToolsetUnavailable(f"MCP server {name} lists its tools without end")
        seen.add(cursor)


def taken(description: ServerDescription, tools: list[dict[str, Any]]) -> dict[str, Mounted]:
    """What is taken of what a server lists, by the names it has here.

    Raises:
        ConfigurationError: A tool that is allowed or pinned does not exist, or one cannot be named so.
        ToolsetUnavailable: One is not what it was pinned as.
    """
    where = f"MCP server {description.name}"
    names = [str(one.get("name")) for one in tools]
    for pattern in (*(description.allow or ()), *description.deny):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigurationError(f"{where} has no tool {pattern!r}; it has: {', '.join(names) or 'none'}")
    found: dict[str, Mounted] = {}
    for one in tools:
        if not _is_allowed(description, str(one.get("name"))):
            continue
        mounted = _mounted(description, one)
        if mounted.tool.name in found:
            raise ConfigurationError(f"{where} has two tools {mounted.name}")
        found[mounted.tool.name] = mounted
    digests = {one.name: one.digest for one in found.values()}
    for name, pinned in description.pinned.items():
        if name not in digests:
            raise ToolsetUnavailable(f"{where} has no tool {name} any more, which was pinned")
        if digests[name] != pinned:
            raise ToolsetUnavailable(
                f"{where}: its tool {name} has changed: it is {digests[name]} now, and was pinned as {pinned}",
                details={"tool": name, "hash": digests[name], "pinned": pinned},
            )
    return found


def _is_allowed(description: ServerDescription, name: str) -> bool:
    is_in = description.allow is None or any(fnmatchcase(name, pattern) for pattern in description.allow)
    return is_in and not any(fnmatchcase(name, pattern) for pattern in description.deny)


def _mounted(description: ServerDescription, told: Mapping[str, Any]) -> Mounted:
    name, schema, output = str(told.get("name")), told.get("inputSchema"), told.get("outputSchema")
    texts = {key: told[key] for key in ("title", "description") if isinstance(told.get(key), str)}
    mappings = {key: told[key] for key in ("annotations", "_meta") if isinstance(told.get(key), dict)}
    try:
        tool = Tool(
            name=description.prefix + name,
            description=texts.get("description", ""),
            input_schema=schema if isinstance(schema, dict) else {"type": "object"},
            output_schema=output if isinstance(output, dict) else None,
            title=texts.get("title"),
            annotations=mappings.get("annotations"),
            meta=mappings.get("_meta"),
            timeout_s=description.timeout_s,
        )
    except ConfigurationError as error:
        raise ConfigurationError(
            f"MCP server {description.name}: {error.message}; give the server a prefix, or deny that tool "
            "(prefix and deny, of OutsideServer or under mcp_servers in openenv.yaml)"
        ) from None
    return Mounted(name, tool, hash_of(told), _wraps(tool.output_schema))


def _wraps(schema: Mapping[str, Any] | None) -> bool:
    """Whether a schema is that of a value which is no object, as the usual libraries wrap one: under ``result``."""
    properties = None if schema is None else schema.get("properties")
    return isinstance(properties, dict) and [*properties] == ["result"]
