"""MCP over HTTP: which era a request is of, which session it is for, and what is refused at once."""

from __future__ import annotations

from typing import Any

from openenv.errors import AccessDenied, OpenEnvError
from openenv.mcp.headers import PostHeaders, check_media, era_of
from openenv.mcp.legacy import is_legacy
from openenv.mcp.messages import (
    INVALID_REQUEST,
    SESSION_NOT_FOUND,
    McpError,
    Request,
    is_batch,
    read,
    read_batch,
)
from openenv.mcp.older import check_batch
from openenv.mcp.versions import Era
from openenv.server.access import Access
from openenv.server.exchange import Receive, Scope, Send
from openenv.server.exchange import Request as HttpRequest
from openenv.server.mcp.clients import Client, mcp_session_of
from openenv.server.mcp.doors import Doors
from openenv.server.mcp.legacy import Legacy
from openenv.server.mcp.older import OlderEra
from openenv.server.mcp.posts import Post, told
from openenv.server.mcp.stateless import StatelessEra
from openenv.session import Session, SessionEngine, SharedSession
from openenv.version import __version__

__all__ = ["McpEndpoint"]


class McpEndpoint:
    """Serves ``/mcp`` and ``/sessions/{id}/mcp``.

    Args:
        engine: Where the sessions live.
        shared: The one that requests share which name none.
        access: Who may.
        max_message_bytes: Largest body that a client may send.
    """

    def __init__(self, engine: SessionEngine, shared: SharedSession, access: Access, max_message_bytes: int) -> None:
        about = engine.metadata
        info: dict[str, Any] = {
            "name": engine.spec.name,
            "version": (about.version if about else None) or __version__,
        }
        self._max_message_bytes = max_message_bytes
        self._doors = Doors(engine, shared, access)
        self._older = OlderEra(self._doors, info)
        self._stateless = StatelessEra(self._doors, info)
        self._legacy = Legacy(self._doors)

    async def serve(self, scope: Scope, receive: Receive, send: Send, session_id: str | None) -> None:
        """Answer a request.

        Args:
            scope, receive, send: Of ASGI; the method is POST, GET or DELETE.
            session_id: The session that the URL names, if it does.
        """
        post = Post(scope, receive, send, PostHeaders.read(scope["headers"]))
        try:
            if scope["method"] == "POST":
                post.body = await HttpRequest(scope, receive, "", "").body(self._max_message_bytes)
                await self._post(post, session_id)
            else:
                await self._get_or_delete(post, session_id)
        except (McpError, OpenEnvError) as error:
            await told(error).send(send)

    async def converse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket of an older OpenEnv client."""
        await self._legacy.converse(scope, receive, send)

    async def _post(self, post: Post, session_id: str | None) -> None:
        if is_legacy(post.headers, post.body):
            await post.json(await self._legacy.answer(post, await self._session(post, session_id)))
            return
        check_media(post.headers)
        if is_batch(post.body):
            messages = read_batch(post.body)
            check_batch(messages, post.headers.version)
            await self._older.batch(post, messages, await self._client(post, session_id))
            return
        message = read(post.body)
        try:
            if era_of(post.headers, message) is Era.STATELESS:
                await self._stateless.post(post, message, await self._session(post, session_id))
            elif isinstance(message, Request) and message.method == "initialize":
                await self._older.begin(post, message, await self._session(post, session_id))
            else:
                await self._older.post(post, message, await self._client(post, session_id))
        except McpError as error:
            if error.id is None and isinstance(message, Request):
                error.id = message.id
            raise
        except OpenEnvError as error:
            await told(error, message.id if isinstance(message, Request) else None).send(post.send)

    async def _get_or_delete(self, post: Post, session_id: str | None) -> None:
        if post.headers.session_id is None:
            raise McpError(INVALID_REQUEST, "Without an Mcp-Session-Id there is only POST", http_status=405)
        client = await self._client(post, session_id)
        if post.scope["method"] == "GET":
            await self._older.listen(post, client)
        else:
            await self._older.end(post, client)

    async def _session(self, post: Post, session_id: str | None) -> Session | None:
        """The session that the URL or a token names."""
        if session_id is not None:
            return await self._doors.named(post.scope, session_id)
        return await self._doors.of_token(post.scope)

    async def _client(self, post: Post, session_id: str | None) -> Client:
        session = await self._session(post, session_id)
        if session is None:
            session = await self._own(post)
        return self._older.client(post, session)

    async def _own(self, post: Post) -> Session:
        """The session of a client that names none: its ``Mcp-Session-Id`` tells."""
        named = mcp_session_of(post.headers.session_id or "")
        if not named:
            raise McpError(INVALID_REQUEST, "Missing Mcp-Session-Id: begin with 'initialize'")
        try:
            return await self._doors.kept(post.scope, named)
        except AccessDenied:
            raise
        except OpenEnvError as error:  # it has ended: the client begins anew
            raise McpError(SESSION_NOT_FOUND, f"Session not found: {error.message}", http_status=404) from None
