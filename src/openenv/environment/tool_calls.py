"""One call of a tool: found, checked, run, and told as an observation."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any

from openenv.environment.tool_book import Book
from openenv.environment.tool_search import CALL, SEARCH, found_by_words
from openenv.environment.toolbox import Found, Toolbox
from openenv.errors import ToolsetUnavailable
from openenv.schema import misfit
from openenv.tools import (
    BadArguments,
    CallCancelled,
    Mode,
    NoJSONForm,
    ToolContext,
    ToolError,
    ToolErrorType,
    result_of,
)
from openenv.tools.results import json_form

__all__ = ["CallFailed", "answer_of", "bound", "found_for", "run", "searched", "unwrapped"]


_MOST = 20_000
"""Characters of a message; a model has to read them."""


class CallFailed(Exception):
    """A call that has no result, and not because its tool raised.

    Attributes:
        kind: Why, in one word.
    """

    def __init__(self, kind: ToolErrorType, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def found_for(toolbox: Toolbox, name: str, environment: Any, mode: Mode) -> Found:
    """The tool that a call is of.

    Raises:
        CallFailed: There is none now.
    """
    found = toolbox.find(name, environment, mode)
    if found is None:
        raise CallFailed(ToolErrorType.TOOL_NOT_FOUND, toolbox.not_found(name, environment, mode))
    return found


def unwrapped(arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Which tool is meant by a call of ``call_tool``, and its arguments.

    Raises:
        BadArguments: It does not say.
    """
    assert CALL.signature is not None
    given = CALL.signature.checked(arguments)
    return given["name"], given["arguments"]


def searched(toolbox: Toolbox, arguments: Mapping[str, Any], environment: Any, mode: Mode) -> dict[str, Any]:
    """The result of a call of ``search_tools``.

    Raises:
        BadArguments: They do not fit.
    """
    assert SEARCH.signature is not None
    given = SEARCH.signature.checked(arguments)
    tools = [found.tool for found in toolbox.there(environment, mode)]
    best = found_by_words(tools, given["query"], given["limit"])
    return result_of([tool.listed() for tool in best], has_schema=True, wraps=True)


def bound(found: Found, given: Mapping[str, Any], context: ToolContext) -> dict[str, Any]:
    """The arguments that the function of a tool is called with.

    Raises:
        BadArguments: They do not fit.
    """
    signature = found.tool.signature
    if signature is None:
        return dict(given)
    if found.tool.input_schema is not signature.input_schema:  # the author's own, which callers are told
        _check(found.tool.input_schema, given)
    arguments = signature.checked(given)
    if signature.context is not None:
        arguments[signature.context] = context
    return arguments


def _check(schema: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    try:
        said = misfit(schema, json_form(dict(given)))
    except NoJSONForm:  # of code that calls the tool: its types are left to say
        return
    if said is not None:
        properties = schema.get("properties")
        known = ", ".join(properties) if isinstance(properties, Mapping) else ""
        raise BadArguments(f"{said}. Its arguments: {known or 'none'}.")


async def run(environment: Any, book: Book, found: Found, given: Mapping[str, Any], context: ToolContext) -> Any:
    """Call a tool, and return its ``result``. Of a tool that is not asynchronous nothing is awaited.

    Raises:
        BadArguments: They do not fit.
        Exception: Whatever the tool raises.
    """
    tool = found.tool
    if found.toolset is not None:
        return await _ended(found.toolset.call(tool.name, given, context), book, tool.timeout_s)
    assert tool.function is not None
    arguments = bound(found, given, context)
    returned = tool.function(environment, **arguments) if found.is_method else tool.function(**arguments)
    if inspect.isawaitable(returned):
        returned = await _ended(returned, book, tool.timeout_s)
    result = result_of(returned, has_schema=tool.output_schema is not None, wraps=tool.wraps)
    if tool.output_schema is not None and not result["is_error"]:  # clients of MCP end where it does not fit
        structured = result["structured_content"]
        said = "there is no structured content" if structured is None else misfit(tool.output_schema, structured)
        if said is not None:
            raise CallFailed(ToolErrorType.EXECUTION_ERROR, f"its result does not fit its output schema: {said}")
    return result


async def _ended(work: Any, book: Book, timeout_s: float | None) -> Any:
    """What is awaited, unless it takes too long or is cancelled by ``cancel_call``."""
    book.running, book.is_cancelling = asyncio.ensure_future(work), False
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            return await book.running
    except TimeoutError:
        if limit.expired():
            raise CallFailed(ToolErrorType.TIMEOUT, f"it took longer than {timeout_s:g} s") from None
        raise
    except asyncio.CancelledError:
        if book.is_cancelling:
            raise CallCancelled("the call was cancelled") from None
        raise
    finally:
        book.running = None


def answer_of(error: BaseException) -> ToolError:
    """Why a call has no result, for a model to act on."""
    kind, text = _why(error)
    if len(text) > _MOST:
        text = f"{text[:_MOST]}... and {len(text) - _MOST} more characters"
    # half a character, as names of files may have, would make an answer that cannot be sent
    return ToolError(error_type=kind, message=text.encode(errors="backslashreplace").decode())


def _why(error: BaseException) -> tuple[ToolErrorType, str]:
    match error:
        case CallFailed():
            return error.kind, str(error)
        case BadArguments():
            return ToolErrorType.INVALID_ARGS, str(error)
        case CallCancelled():
            return ToolErrorType.CANCELLED, str(error) or "the call was cancelled"
        case ToolsetUnavailable():
            return ToolErrorType.TRANSPORT_ERROR, error.message
        case NoJSONForm():
            return ToolErrorType.EXECUTION_ERROR, f"it returned {error}"
    text, name = str(error), type(error).__name__
    return ToolErrorType.EXECUTION_ERROR, f"{name}: {text}" if text else name
