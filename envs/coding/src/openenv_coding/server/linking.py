"""Tools as the functions that code calls: their names, signatures and docstrings, from their schemas."""

from __future__ import annotations

import json
import keyword
from collections.abc import Mapping, Sequence
from typing import Any

from openenv.tools.identifiers import function_names

__all__ = ["FIXED_NAMES", "listed", "offered"]

FIXED_NAMES = frozenset({"ToolError", "list_tools"})
"""What code finds besides the tools."""

_TYPES = {
    "integer": "int", "number": "float", "string": "str", "boolean": "bool", "array": "list", "object": "dict",
    "null": "None",
}  # fmt: skip


def listed(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What ``list_tools()`` returns; ``function`` where code calls a tool by another name."""
    names = function_names([str(tool["name"]) for tool in tools], FIXED_NAMES)
    return [_told(tool, names[tool["name"]]) for tool in tools]


def offered(tools: Sequence[Mapping[str, Any]], max_bytes: int) -> str:
    """The text with which the interpreter makes functions of tools.

    Args:
        tools: As MCP lists them.
        max_bytes: Longest arguments of a call.
    """
    names = function_names([str(tool["name"]) for tool in tools], FIXED_NAMES)
    return json.dumps({"max_bytes": max_bytes, "tools": [_described(tool, names[tool["name"]]) for tool in tools]})


def _described(tool: Mapping[str, Any], function: str) -> dict[str, Any]:
    schema = tool.get("inputSchema") or {}
    properties: Mapping[str, Any] = schema.get("properties") or {}
    required = set(schema.get("required") or ())
    named = [name for name in properties if name.isidentifier() and not keyword.iskeyword(name) and name[:1] != "_"]
    parameters: list[str] = []
    defaults: list[str] = []
    for name in sorted(named, key=lambda one: one not in required):  # stable: those with a default come last
        text = f"{name}: {_type(properties[name])}"
        if name not in required:
            text += f" = _default_{len(defaults)}"
            defaults.append(repr(properties[name]["default"]) if "default" in properties[name] else "...")
        parameters.append(text)
    rest = len(named) < len(properties) or schema.get("additionalProperties") not in (None, False)
    given = ", ".join(f"{name!r}: {name}" for name in named)
    if rest:
        parameters.append("**_more")
    arrow = f" -> {_returned(tool['outputSchema'])}" if tool.get("outputSchema") else ""
    body = f"{{{given}{', **_more' if given and rest else '**_more' if rest else ''}}}"
    return {
        "function": function,
        "source": f"def {function}({', '.join(parameters)}){arrow}:\n    return _call({tool['name']!r}, {body})\n",
        "doc": _doc(tool, properties),
        "defaults": defaults,
        "told": _told(tool, function),
    }


def _told(tool: Mapping[str, Any], function: str) -> dict[str, Any]:
    told = {
        "name": tool["name"],
        "description": tool.get("description", ""),
        "input_schema": tool.get("inputSchema"),
        "output_schema": tool.get("outputSchema"),
        "function": None if function == tool["name"] else function,
    }
    return {key: value for key, value in told.items() if value is not None}


def _doc(tool: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
    """What ``help`` shows: the description, and what is said of each argument."""
    lines = [
        f"    {name}: {' '.join(said.split())}"
        for name, schema in properties.items()
        if isinstance(schema, Mapping) and isinstance(said := schema.get("description"), str)
    ]
    text = str(tool.get("description") or "").strip()
    return "\n".join([text, "", "Args:", *lines]).strip() if lines else text


def _returned(schema: Mapping[str, Any]) -> str:
    """The type of what a function returns: a value that is wrapped for MCP, which wants objects, comes by itself."""
    properties = schema.get("properties") or {}
    return _type(properties["result"] if list(properties) == ["result"] else schema)


def _type(schema: Any) -> str:
    """A schema as Python writes a type, with builtins alone."""
    if not isinstance(schema, Mapping):
        return "object"
    several = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(several, Sequence) and several:
        return " | ".join(dict.fromkeys(_type(one) for one in several))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(dict.fromkeys(_TYPES.get(one, "object") for one in kind)) or "object"
    if kind == "array" and isinstance(items := schema.get("items"), Mapping):
        inner = _type(items)
        return "list" if inner == "object" else f"list[{inner}]"
    if kind is None and isinstance(values := schema.get("enum"), list) and values:
        return " | ".join(dict.fromkeys(type(value).__name__ if value is not None else "None" for value in values))
    return _TYPES.get(str(kind), "object")
