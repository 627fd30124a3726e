"""Server objects of MCP libraries as authors hand them over, told by what they can do: no library is imported."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import re
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pydantic import ValidationError

from openenv.environment.object_session import ObjectSession
from openenv.environment.tool_calls import CallFailed
from openenv.errors import ConfigurationError, InvalidRequest
from openenv.tools import BadArguments, Tool, ToolContext, ToolErrorType, Toolset
from openenv.tools.results import told_result

__all__ = ["ObjectTools", "listed_now", "run_by", "run_once"]

T = TypeVar("T")

_WRAPPERS = ("ToolError", "UnexpectedToolError")
"""What the libraries raise in place of what a tool raised."""

_REFUSED = re.compile(r"\bvalidation errors? for (call\[|\w+Arguments\b)")
"""How the libraries tell a client that the arguments do not fit."""

_LISTS = {
    "resources/list": ("resources", "list_resources", "to_mcp_resource"),
    "resources/templates/list": ("resourceTemplates", "list_resource_templates", "to_mcp_template"),
    "prompts/list": ("prompts", "list_prompts", "to_mcp_prompt"),
}


class ObjectTools:
    """The tools of an MCP server object in this process: ``FastMCP`` or ``MCPServer``, of whichever version.

    Args:
        server: It has ``list_tools`` and ``call_tool``, to be awaited.

    Attributes:
        name: What the server is called.

    Raises:
        ConfigurationError: It is no such object.
    """

    def __init__(self, server: Any) -> None:
        if not all(callable(getattr(server, name, None)) for name in ("list_tools", "call_tool")):
            raise ConfigurationError(
                f"a {type(server).__name__} is no MCP server object: it needs list_tools and call_tool, as those of "
                "FastMCP and MCPServer"
            )
        self.server = server
        self.name = str(getattr(server, "name", None) or type(server).__name__)
        self._tools: dict[str, Tool] = {}
        self._session = ObjectSession(server) if ObjectSession.is_for(server) else None

    def fresh(self) -> Toolset:
        """The same, since the object is one and the same."""
        return ObjectTools(self.server)

    async def begin(self, credentials: Mapping[str, str]) -> None:
        """Look which tools there are, for another episode."""
        self.begin_anew()
        await self.look()

    def begin_anew(self) -> None:
        """Forget what the server keeps for its client: the next episode is another one's."""
        if self._session is not None:
            self._session.begin_anew()

    async def look(self) -> None:
        """Look which tools there are.

        Raises:
            ConfigurationError: A tool has a name that it must not have.
        """
        listed = await _awaited(self.server.list_tools())
        tools = [_tool(one, self.server) for one in listed]
        self._tools = {tool.name: tool for tool in tools}

    def tools(self) -> Sequence[Tool]:
        """Those that there were at last."""
        return list(self._tools.values())

    def has(self, name: str) -> bool:
        """Whether there was a tool of that name at last."""
        return name in self._tools

    async def call(self, name: str, arguments: Mapping[str, Any], context: ToolContext) -> dict[str, Any]:
        """Call a tool. One whose function takes more than its arguments, such as a ``Context``, is called over a
        connection, as its library does; what it says and asks goes to the caller.

        Raises:
            BadArguments: They do not fit.
            CallFailed: It says that it failed.
            InputNeeded: It asks something that the caller can be asked.
            Exception: Whatever it raises.
        """
        tool = self._tools.get(name)
        if self._session is not None and tool is not None and tool.function is None:
            return _result(await self._session.call(name, arguments, context), tool)
        try:
            returned = await _awaited(self.server.call_tool(name, dict(arguments)))
        except Exception as error:  # whatever a tool raises, in the wrapping of its library
            told = _bad_arguments(error)
            if told is not None:
                raise BadArguments(told) from None
            if type(error).__name__ not in _WRAPPERS:
                raise
            if error.__cause__ is not None and not isinstance(error.__cause__, BadArguments):
                raise error.__cause__ from None  # what the tool raised
            raise CallFailed(ToolErrorType.EXECUTION_ERROR, str(error)) from error
        return _result(returned, tool)

    async def close(self) -> None:
        """End what was begun; the object itself is its author's."""
        if self._session is not None:
            await self._session.end()

    async def offer(self, method: str, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """What MCP asks besides tools, as far as the object has it.

        Returns:
            The answer in MCP's shape; ``None`` if it has none.

        Raises:
            InvalidRequest: There is no such resource or prompt.
        """
        if method in _LISTS:
            key, name, convert = _LISTS[method]
            ask = getattr(self.server, name, None)
            return None if ask is None else {key: [_plain(one, convert) for one in await _awaited(ask())]}
        if method == "resources/read":
            return await self._read(str(params.get("uri")))
        if method == "prompts/get":
            return await self._prompt(str(params.get("name")), params.get("arguments") or {})
        return None

    async def _read(self, uri: str) -> dict[str, Any] | None:
        ask = getattr(self.server, "read_resource", None)
        if ask is None:
            return None
        try:
            found = await _awaited(ask(uri))
        except Exception as error:  # the libraries have classes of their own for what is not there
            raise InvalidRequest(f"{uri} cannot be read: {error}", details={"uri": uri}) from error
        contents = getattr(found, "contents", found)
        return {"contents": [_content(uri, one) for one in contents]}

    async def _prompt(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
        ask = getattr(self.server, "render_prompt", None) or getattr(self.server, "get_prompt", None)
        if ask is None:
            return None
        try:
            found = await _awaited(ask(name, dict(arguments)))
        except Exception as error:  # the libraries have classes of their own for what is not there
            raise InvalidRequest(f"the prompt {name} cannot be had: {error}") from error
        told = _plain(found, "to_mcp_prompt_result")
        told.pop("resultType", None)  # of a later version of MCP than ours here
        return told


def run_by(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns, run to its end by a loop of ours; also in a thread where another loop runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(loop, work)
    with ThreadPoolExecutor(1) as one:  # as in a notebook: ours needs a thread of its own
        return one.submit(_run, loop, work).result()


def _run(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    task = loop.create_task(work)
    while True:
        try:
            return loop.run_until_complete(task)
        except SystemExit:
            if task.done():
                raise
            # of a tool's own task, which stopped the loop: who awaits it is to hear of it, too, and now


def run_once(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns, run by a loop that is made for it."""
    loop = asyncio.new_event_loop()
    try:
        return run_by(loop, work)
    finally:
        loop.close()


def listed_now(server: Any) -> dict[str, Any]:
    """The tools of a server object by name, as its library has them."""
    return {one.name: one for one in run_once(_awaited(server.list_tools()))}


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _plain(value: Any, convert: str = "") -> dict[str, Any]:
    """A model of a library as MCP has it on the wire."""
    made = getattr(value, convert)() if convert and hasattr(value, convert) else value
    dumped: dict[str, Any] = (
        dict(made) if isinstance(made, Mapping) else made.model_dump(mode="json", by_alias=True, exclude_none=True)
    )
    return dumped


def _tool(one: Any, server: Any) -> Tool:
    told = _plain(one, "to_mcp_tool")
    schema = told.get("inputSchema") or {"type": "object", "properties": {}}
    output = told.get("outputSchema")
    return Tool(
        name=told["name"],
        title=told.get("title"),
        description=told.get("description") or "",
        input_schema=schema,
        output_schema=output,
        wraps=bool(output and (output.get("x-fastmcp-wrap-result") or set(output.get("properties", ())) == {"result"})),
        annotations=told.get("annotations"),
        meta=told.get("_meta"),
        function=_function(_held_by(server, one), schema),
    )


def _held_by(server: Any, one: Any) -> Any:
    """A tool as its server has it: the ``mcp`` package lists what goes over the wire, which has no function."""
    if hasattr(one, "fn"):
        return one
    get_tool = getattr(getattr(server, "_tool_manager", None), "get_tool", None)
    return get_tool(one.name) if callable(get_tool) else one


def _function(one: Any, schema: Mapping[str, Any]) -> Any:
    """The function of a tool, if it takes what a caller gives and nothing else."""
    function = getattr(one, "fn", None)
    if not callable(function):
        return None
    try:
        names = set(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # one that does not tell
        return None
    return function if names == set(schema.get("properties", ())) else None


def _result(returned: Any, tool: Tool | None) -> dict[str, Any]:
    """What a call gave, as the result of an observation: the libraries' forms are a model, a pair, a list, a dict."""
    if isinstance(returned, tuple) and len(returned) == 2:
        content, structured, meta = returned[0], returned[1], None
    elif isinstance(returned, Mapping):
        content, structured, meta = [{"type": "text", "text": json.dumps(returned)}], dict(returned), None
    elif isinstance(returned, list):
        content, structured, meta = returned, None, None
    else:
        content = getattr(returned, "content", ())
        structured = _either(returned, "structured_content", "structuredContent")
        meta = getattr(returned, "meta", None)
    blocks = [_plain(block) for block in content]
    if _either(returned, "is_error", "isError"):
        text = "\n".join(block["text"] for block in blocks if "text" in block)
        if _REFUSED.search(text):
            raise BadArguments(text)
        raise CallFailed(ToolErrorType.EXECUTION_ERROR, text or "the tool failed")
    return told_result(blocks, structured, _data(blocks, structured, tool), meta=meta)


def _either(returned: Any, name: str, older: str) -> Any:
    """An attribute that the libraries of one generation name so, and of the other otherwise."""
    return getattr(returned, name) if hasattr(returned, name) else getattr(returned, older, None)


def _data(blocks: list[dict[str, Any]], structured: Any, tool: Tool | None) -> Any:
    if structured is not None:
        is_wrapped = tool is not None and tool.wraps and isinstance(structured, dict) and set(structured) == {"result"}
        return structured["result"] if is_wrapped else structured
    if len(blocks) == 1 and blocks[0].get("type") == "text":
        return blocks[0]["text"]
    return blocks or None


def _content(uri: str, one: Any) -> dict[str, Any]:
    if hasattr(one, "uri"):  # a model of the wire already
        return _plain(one)
    content = getattr(one, "content", one)
    mime_type = getattr(one, "mime_type", None)
    if isinstance(content, bytes):
        blob = base64.b64encode(content).decode()
        return {"uri": uri, "mimeType": mime_type or "application/octet-stream", "blob": blob}
    return {"uri": uri, "mimeType": mime_type or "text/plain", "text": str(content)}


def _bad_arguments(error: BaseException) -> str | None:
    """What is wrong with the arguments, if that is why a library raised: its check is named after the call."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ValidationError) and (seen.title.startswith("call[") or seen.title.endswith("Arguments")):
            return "; ".join(
                f"{'.'.join(str(part) for part in one['loc']) or 'arguments'}: {one['msg']}"
                for one in seen.errors(include_url=False, include_context=False)
            )
        seen = seen.__cause__ or seen.__context__
    return None
