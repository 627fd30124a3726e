"""A connection to an MCP server object in this process, by the library that it is of: its tools know of their call."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from openenv.errors import InputNeeded
from openenv.tools import CallCancelled, ToolContext
from openenv.tools.forwarding import Forwarding

__all__ = ["ObjectSession"]

_METHOD_NOT_FOUND = -32601

log = logging.getLogger("openenv.environment")


class ObjectSession:
    """Calls tools of a server object as a client of it would, which is connected from the first call on.

    Args:
        server: A ``FastMCP`` or an ``MCPServer``.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self._forwarding: Forwarding | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Any = None
        self._held: asyncio.Task[None] | None = None
        self._is_stale = False

    @staticmethod
    def is_for(server: Any) -> bool:
        """Whether the object is of a library that is known here."""
        return _library_of(server) is not None

    async def call(self, name: str, arguments: Mapping[str, Any], context: ToolContext) -> Any:
        """Call a tool; the result in the library's form.

        Raises:
            InputNeeded: The tool asks something that the caller can be asked.
            CallCancelled: The caller has given up.
            Exception: What the library raises.
        """
        if context.inputs:  # it has asked before, which ended the connection; in a replay nothing has
            await self.end()
        client = await self._connected()
        self._forwarding = Forwarding(context)
        calling = client.call_tool(name, dict(arguments), progress_callback=self._progressed)
        try:
            return await self._forwarding.result(asyncio.ensure_future(calling))
        except (InputNeeded, CallCancelled, asyncio.CancelledError):
            await self.end()  # the tool would run on: the libraries do not all end it when its caller does
            raise
        finally:
            self._forwarding = None

    def begin_anew(self) -> None:
        """Have the next call be of a new connection: what tools keep in theirs is of one episode."""
        if self._held is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._held.cancel)  # now if the loop runs, or else before the next call
        self._is_stale = True

    async def end(self) -> None:
        """End the connection, and what still runs over it."""
        held, self._held = self._held, None
        if held is None:
            return
        if self._loop is asyncio.get_running_loop():
            held.cancel()
            await asyncio.wait([held])
        elif self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(held.cancel)

    async def _connected(self) -> Any:
        loop = asyncio.get_running_loop()
        if self._held is None or self._held.done() or self._is_stale or self._loop is not loop:
            await self.end()
            self._loop, self._is_stale = loop, False
            ready: asyncio.Future[Any] = loop.create_future()
            self._held = asyncio.create_task(self._hold(ready))
            try:
                self._client = await ready
            except BaseException:
                await self.end()
                raise
        return self._client

    async def _hold(self, ready: asyncio.Future[Any]) -> None:
        """Opened and closed by one task, as the libraries want it."""
        try:
            async with _opened(self._server, self._callbacks()) as client:
                ready.set_result(client)
                await asyncio.Event().wait()
        except Exception as error:  # whatever the author's server raises is for whoever called
            if ready.done():  # of the author's own clean-up, after the last call
                log.exception("an MCP server object failed when its connection ended")
            else:
                ready.set_exception(_first(error))
        finally:
            ready.cancel()

    def _callbacks(self) -> dict[str, Any]:
        return {
            "logging_callback": self._logged,
            "elicitation_callback": self._asked,
            "sampling_callback": self._asked,
            "list_roots_callback": self._asked_for_roots,
        }

    async def _progressed(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        if self._forwarding is not None:
            told = {"progress": progress, "total": total, "message": message}
            self._forwarding.told("notifications/progress", told)

    async def _logged(self, params: Any) -> None:
        if self._forwarding is not None:
            self._forwarding.told("notifications/message", _plain(params))

    async def _asked(self, _: Any, params: Any) -> Any:
        is_sampling = "CreateMessage" in type(params).__name__
        method = "sampling/createMessage" if is_sampling else "elicitation/create"
        return await self._answer(method, _plain(params), "CreateMessageResult" if is_sampling else "ElicitResult")

    async def _asked_for_roots(self, _: Any) -> Any:
        return await self._answer("roots/list", {}, "ListRootsResult")

    async def _answer(self, method: str, params: dict[str, Any], form: str) -> Any:
        types = sys.modules.get("mcp_types") or sys.modules["mcp.types"]
        forwarding = self._forwarding
        answer = None if forwarding is None else forwarding.asked(method, params)
        if forwarding is not None and forwarding.needed.done():
            await asyncio.Event().wait()  # the call ends here: no answer must have the tool go on
        if answer is None:
            return types.ErrorData(code=_METHOD_NOT_FOUND, message=f"nobody here answers {method}")
        return getattr(types, form).model_validate(answer)


def _first(error: BaseException) -> BaseException:
    """What went wrong, out of the groups that the libraries put around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _library_of(server: Any) -> str | None:
    for cls in type(server).__mro__:
        for library in ("fastmcp", "mcp.server.fastmcp", "mcp.server.mcpserver"):
            if cls.__module__ == library or cls.__module__.startswith(f"{library}."):
                return library
    return None


@asynccontextmanager
async def _opened(server: Any, callbacks: dict[str, Any]) -> AsyncIterator[Any]:
    """A session of the library's client, which has been initialized."""
    library = _library_of(server)
    if library == "fastmcp":
        transport = import_module("fastmcp.client.transports").FastMCPTransport(server)
        async with transport.connect_session(**callbacks) as session:
            await session.initialize()
            yield session
    elif library == "mcp.server.fastmcp":
        connect = import_module("mcp.shared.memory").create_connected_server_and_client_session
        async with connect(server, **callbacks) as session:
            yield session
    else:
        async with import_module("mcp").Client(server, mode="legacy", **callbacks) as client:
            yield client.session


def _plain(params: Any) -> dict[str, Any]:
    plain: dict[str, Any] = params.model_dump(mode="json", by_alias=True, exclude_none=True)
    return plain
