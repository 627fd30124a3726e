"""Tools as the APIs of models take them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from openenv.errors import ConfigurationError
from openenv.tools.actions import ToolInfo
from openenv.tools.definition import Tool
from openenv.tools.portable import one_object, with_items

__all__ = ["as_anthropic_tools", "as_openai_tools"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def as_openai_tools(
    tools: Iterable[ToolInfo | Tool | Mapping[str, Any]],
    *,
    api: Literal["chat", "responses"] = "chat",
    names: dict[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Tools as OpenAI's APIs take them in ``tools``, not strict: arguments with defaults may be left out.

    A schema with options at its top (``anyOf``, ``oneOf``, ``allOf``), which the APIs refuse, becomes one object with
    the properties of all of them.

    Args:
        tools: Tools as ``list_tools`` tells them, as MCP lists them, or ``Tool`` objects.
        api: ``chat`` for chat completions, ``responses`` for the responses API, which is flat.
        names: Gets the name of each tool by the name that the model is told, where these differ: the API takes 1 to 64
            letters, digits, ``_`` and ``-``. Without it, a name that does not fit is an error.

    Raises:
        ConfigurationError: A name does not fit, two tools have one name, or no object fits the schema of a tool.
    """
    if api not in ("chat", "responses"):
        raise ConfigurationError(f"api must be 'chat' or 'responses', not {api!r}")
    made: list[dict[str, Any]] = []
    for name, description, schema in _told(tools, names):
        function: dict[str, Any] = {"name": name, "description": description, "parameters": with_items(schema)}
        if api == "chat":
            made.append({"type": "function", "function": function})
        else:  # the responses API makes strict what does not say, and then every argument is required
            made.append({"type": "function", **function, "strict": False})
    return made


def as_anthropic_tools(
    tools: Iterable[ToolInfo | Tool | Mapping[str, Any]], *, names: dict[str, str] | None = None
) -> list[dict[str, Any]]:
    """Tools as Anthropic's Messages API takes them in ``tools``; arguments and errors as of ``as_openai_tools``."""
    return [
        {"name": name, "description": description, "input_schema": schema}
        for name, description, schema in _told(tools, names)
    ]


def _told(
    tools: Iterable[ToolInfo | Tool | Mapping[str, Any]], names: dict[str, str] | None
) -> list[tuple[str, str, dict[str, Any]]]:
    listed = [_parts(tool) for tool in tools]
    taken = {name for name, _, _ in listed if _NAME.fullmatch(name)}
    if len({name for name, _, _ in listed}) < len(listed):
        twice = sorted({name for name, _, _ in listed if [one[0] for one in listed].count(name) > 1})
        raise ConfigurationError(f"two tools are named {', '.join(twice)}; a model could not tell which it calls")
    found = []
    for name, description, schema in listed:
        told = name
        if not _NAME.fullmatch(name):
            if names is None:
                raise ConfigurationError(
                    f"tool {name!r} has a name that the API does not take (1 to 64 letters, digits, _ and -); pass "
                    "names={}, which is told which tool is meant by the name that the model gets"
                )
            told = _fitting(name, taken)
            names[told] = name
            taken.add(told)
        found.append((told, description, schema))
    return found


def _parts(tool: ToolInfo | Tool | Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    if isinstance(tool, Mapping):
        schema = tool.get("input_schema") or tool.get("inputSchema")
        name, description = tool["name"], tool.get("description")
    else:
        schema, name, description = tool.input_schema, tool.name, tool.description
    return str(name), description or "", one_object(schema or {}, str(name))


def _fitting(name: str, taken: set[str]) -> str:
    clean = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "tool"
    told, number = clean, 2
    while told in taken:
        ending = f"_{number}"
        told, number = clean[: 64 - len(ending)] + ending, number + 1
    return told
