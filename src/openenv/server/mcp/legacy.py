"""The JSON-RPC that older OpenEnv clients speak on ``/mcp``: over HTTP, and on a WebSocket of their own."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

import msgspec

from openenv.errors import AccessDenied, OpenEnvError
from openenv.mcp.legacy import (
    LegacyRequest,
    answer,
    closed_result,
    created_result,
    read_legacy,
    refusal,
    unknown_session,
)
from openenv.mcp.messages import INTERNAL_ERROR, METHOD_NOT_FOUND, McpError
from openenv.server.exchange import Receive, Scope, Send
from openenv.server.mcp.answering import call_of
from openenv.server.mcp.doors import Doors
from openenv.server.mcp.posts import Post
from openenv.session import Ending, Session
from openenv.session.tool_answers import for_agents, legacy_answer

__all__ = ["Legacy"]


class Legacy:
    """Answers them.

    Args:
        doors: Finds and opens the sessions.
    """

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._made: WeakSet[Session] = WeakSet()

    async def answer(self, post: Post, session: Session | None) -> bytes:
        """The answer to one request; errors are answers too.

        Args:
            post: What was sent.
            session: The one that the URL or a token names; ``None``: that of the request, or the common one.
        """
        try:
            request = read_legacy(post.body)
            # what a URL or a token names is held by others
            return _json(await self._answered(post.scope, request, session, may_end=session is None))
        except McpError as error:
            return _json(refusal(error))

    async def converse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer on a WebSocket, whose session is its own and ends with it."""
        await receive()
        try:
            session = await self._doors.fresh(scope)
        except OpenEnvError:
            await send({"type": "websocket.close", "code": 1013, "reason": "no session"})
            return
        self._doors.hold(session)
        try:
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                told = await self._said(scope, message.get("text") or message.get("bytes") or b"", session)
                await send({"type": "websocket.send", "text": _json(told).decode()})
        finally:
            self._doors.let_go(session)
            self._doors.end(session, Ending.CONNECTION_LOST)

    async def _said(self, scope: Scope, text: str | bytes, session: Session) -> dict[str, Any]:
        try:
            return await self._answered(scope, read_legacy(text), session, may_end=True)
        except McpError as error:
            return refusal(error)

    async def _answered(
        self, scope: Scope, request: LegacyRequest, session: Session | None, *, may_end: bool
    ) -> dict[str, Any]:
        try:
            if request.method == "openenv/session/create":
                made = session or await self._doors.fresh(scope)
                self._made.add(made)
                return answer(request.id, created_result(made.id))
            if session is None:
                session = await self._found(scope, request)
            if session is None:
                return await self._answered_once(scope, request)
            if request.method == "openenv/session/close":
                if not may_end or (self._doors.is_for_agents(scope) and session not in self._made):
                    raise McpError(METHOD_NOT_FOUND, "Whoever opened this session ends it", id=request.id)
                self._doors.end(session)
                await self._doors.ended(session)
                return answer(request.id, closed_result(session.id))
            self._doors.asked(session)
            return await legacy_answer(session, request, call_of(session))
        except AccessDenied:
            raise
        except OpenEnvError as error:
            raise McpError(INTERNAL_ERROR, for_agents(error), http_status=200, id=request.id) from None

    async def _answered_once(self, scope: Scope, request: LegacyRequest) -> dict[str, Any]:
        """The answer of an environment for this request alone: nobody could name it in the next."""
        session = await self._doors.fresh(scope)
        try:
            return await legacy_answer(session, request)
        finally:
            self._doors.end(session)

    async def _found(self, scope: Scope, request: LegacyRequest) -> Session | None:
        if request.session_id is None:
            return await self._doors.common(scope)
        try:
            return await self._doors.named(scope, request.session_id)
        except AccessDenied:
            raise
        except OpenEnvError:
            raise unknown_session(request) from None


def _json(value: dict[str, Any]) -> bytes:
    return msgspec.json.encode(value)
