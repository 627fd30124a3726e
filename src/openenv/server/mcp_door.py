"""The way in for MCP. What serves it is imported at the first request: most servers are never asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from openenv.server.exchange import Answer, Endpoint, Receive, Request, Scope, Send, path_of

if TYPE_CHECKING:
    from openenv.server.mcp.endpoint import McpEndpoint

__all__ = ["McpDoor", "mcp_endpoints"]

_PATHS = ("/mcp", "/sessions/{session_id}/mcp")
_METHODS = (("POST", "Ask"), ("GET", "Listen to what is no answer"), ("DELETE", "End an MCP session"))


class McpDoor:
    """Serves MCP once it is asked.

    Args:
        build: Makes what serves it.
    """

    def __init__(self, build: Callable[[], McpEndpoint]) -> None:
        self._build = build
        self._endpoint: McpEndpoint | None = None

    async def serve(self, scope: Scope, receive: Receive, send: Send, session_id: str | None) -> None:
        """Answer a request.

        Args:
            scope, receive, send: Of ASGI.
            session_id: The session that the URL names, if it does.
        """
        await (await self._opened()).serve(scope, receive, send, session_id)

    async def converse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket of an older OpenEnv client."""
        await (await self._opened()).converse(scope, receive, send)

    async def _opened(self) -> McpEndpoint:
        if self._endpoint is None:
            await asyncio.to_thread(import_module, "openenv.server.mcp.endpoint")  # sessions go on meanwhile
            self._endpoint = self._endpoint or self._build()
        return self._endpoint


class _McpEndpoint(Endpoint):
    def __init__(self, door: McpDoor, method: str, path: str, says: str) -> None:
        super().__init__(method, path, _unused, f"{says} over MCP", name="mcp")
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = self.named(scope["method"], path_of(scope))
        await self._door.serve(scope, receive, send, named or None)


async def _unused(request: Request) -> Answer:
    raise NotImplementedError


def mcp_endpoints(door: McpDoor) -> list[Endpoint]:
    """The endpoints of MCP: asking, listening and ending, of the session that the URL names or a client's own."""
    return [_McpEndpoint(door, method, path, says) for path in _PATHS for method, says in _METHODS]
