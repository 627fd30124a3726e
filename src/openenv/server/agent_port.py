"""A port of their own for agents, where there is nothing but MCP."""

from __future__ import annotations

import re

from openenv.errors import SessionNotFound
from openenv.protocol import Failed
from openenv.server.access import Access
from openenv.server.answers import refusal
from openenv.server.application import Asgi
from openenv.server.exchange import Receive, Scope, Send, path_of
from openenv.server.websocket import refuse

__all__ = ["AgentPort"]

_SERVED = re.compile(r"/health|/mcp|/sessions/[^/]+/mcp")


class AgentPort:
    """An ASGI application in front of another one, which it guards where a request came in at the port for agents.

    Args:
        app: The application.
        access: What checks its requests; from now on it refuses agents at other ports.
        port: The port for agents.
    """

    def __init__(self, app: Asgi, access: Access, port: int) -> None:
        self._app = app
        self._port = access.agent_port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or connection, or the life of the application."""
        if self._serves(scope):
            await self._app(scope, receive, send)
            return
        nothing = SessionNotFound("there is nothing here but MCP")
        if scope["type"] == "http":
            await refusal(Failed.of(nothing)).send(send)
        else:
            await receive()  # websocket.connect
            await refuse(scope, send, nothing)

    def _serves(self, scope: Scope) -> bool:
        if scope["type"] == "lifespan" or (scope.get("server") or ("", None))[1] != self._port:
            return True
        return scope["type"] == "http" and _SERVED.fullmatch(path_of(scope)) is not None
