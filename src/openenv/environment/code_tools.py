"""Tools as plain Python functions, for code that an agent writes."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Iterable
from typing import Any

from openenv.environment.tool_calls import bound
from openenv.environment.toolbox import Found
from openenv.tools import Tool, ToolContext
from openenv.tools.identifiers import function_names

__all__ = ["code_functions"]

Calls = list[dict[str, Any]]


def code_functions(
    environment: Any, tools: Iterable[Found], calls: Calls, context: ToolContext
) -> dict[str, Callable[..., Any]]:
    """Functions by name, each of which notes its calls.

    Args:
        environment: Whose tools they are.
        tools: Those that are there.
        calls: Where the calls are noted: ``tool_name``, ``arguments`` and ``result`` or ``error``.
        context: What tools are given that take one.
    """
    made: dict[str, Callable[..., Any]] = {}
    there = list(tools)
    names = function_names(found.tool.name for found in there)
    for found in there:
        name = names[found.tool.name]
        make = _awaited if found.tool.function is None or found.tool.is_async else _called
        signature = _signature(found)
        function = make(environment, found, _Notes(found, signature, calls), context)
        function.__name__ = function.__qualname__ = name
        function.__doc__ = found.tool.description or None
        function.__signature__ = signature  # type: ignore[attr-defined]
        function.tool = found.tool  # type: ignore[attr-defined]
        made[name] = function
    return made


def _called(environment: Any, found: Found, notes: _Notes, context: ToolContext) -> Callable[..., Any]:
    def call(*positional: Any, **keywords: Any) -> Any:
        noted = notes.taken(positional, keywords)
        try:
            noted["result"] = _invoke(environment, found, noted["arguments"], context)
        except BaseException as error:
            noted["error"] = _told(error)
            raise
        return noted["result"]

    return call


def _awaited(environment: Any, found: Found, notes: _Notes, context: ToolContext) -> Callable[..., Any]:
    async def call(*positional: Any, **keywords: Any) -> Any:
        noted = notes.taken(positional, keywords)
        try:
            noted["result"] = await _invoke(environment, found, noted["arguments"], context)
        except BaseException as error:
            noted["error"] = _told(error)
            raise
        return noted["result"]

    return call


def _invoke(environment: Any, found: Found, arguments: dict[str, Any], context: ToolContext) -> Any:
    if found.tool.function is None:
        assert found.toolset is not None
        return _data(found.toolset.call(found.tool.name, arguments, context))
    checked = bound(found, arguments, context)
    return found.tool.function(environment, **checked) if found.is_method else found.tool.function(**checked)


async def _data(result: Any) -> Any:
    """The value of a toolset's result; what it says where it failed is raised."""
    told = await result
    if told.get("is_error"):
        raise RuntimeError(" ".join(str(one.get("text", "")) for one in told.get("content", ())).strip() or "it failed")
    return told.get("data")


class _Notes:
    """Notes the calls of one tool."""

    def __init__(self, found: Found, signature: inspect.Signature, calls: Calls) -> None:
        self._tool, self._signature, self._calls = found.tool, signature, calls

    def taken(self, positional: tuple[Any, ...], keywords: dict[str, Any]) -> dict[str, Any]:
        """The note of a call; raises ``TypeError`` if it is none of the tool's."""
        tool = self._tool
        if tool.function is not None:
            arguments = dict(self._signature.bind(*positional, **keywords).arguments)
        else:  # its names may be none in Python
            names = _names(tool)
            if len(positional) > len(names):
                raise TypeError(f"{tool.name}() takes {len(names)} arguments, but {len(positional)} were given")
            arguments = dict(zip(names, positional, strict=False)) | keywords
        noted = {"tool_name": tool.name, "arguments": arguments}
        self._calls.append(noted)
        return noted


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _signature(found: Found) -> inspect.Signature:
    """What the function of a tool is called with; that of a toolset's tool is read from its schema."""
    tool = found.tool
    if tool.function is None:
        required = set(tool.input_schema.get("required", ()))
        return inspect.Signature(
            [
                inspect.Parameter(
                    name,
                    inspect.Parameter.POSITIONAL_OR_KEYWORD,
                    default=inspect.Parameter.empty if name in required else None,
                )
                for name in _names(tool)
                if name.isidentifier() and not keyword.iskeyword(name)
            ]
        )
    own = inspect.signature(tool.function)
    context = None if tool.signature is None else tool.signature.context
    parameters = list(own.parameters.values())[1 if found.is_method else 0 :]
    return own.replace(parameters=[one for one in parameters if one.name != context])


def _names(tool: Tool) -> list[str]:
    """The arguments of a tool by its schema, those that it must have first."""
    schema = tool.input_schema
    return sorted(schema.get("properties", {}), key=lambda name: name not in schema.get("required", ()))
