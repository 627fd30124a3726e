"""The stateless era over HTTP: each request says for itself what it needs, and ends with its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from openenv.mcp.capabilities import server_capabilities
from openenv.mcp.messages import (
    METHOD_NOT_FOUND,
    McpError,
    Message,
    Request,
    notification_bytes,
    result_bytes,
    status_of,
)
from openenv.mcp.param_headers import check_params
from openenv.mcp.request_state import inputs_so_far, sealed, state_of
from openenv.mcp.stateless import (
    LOG_LEVELS,
    Envelope,
    check_method,
    complete,
    discover_result,
    input_required,
    missing_capability,
    read_envelope,
)
from openenv.mcp.subscription import Subscription
from openenv.mcp.versions import Era
from openenv.server.mcp.answering import Ends, answer, askable, call_of, news_of, notification_of
from openenv.server.mcp.doors import Doors
from openenv.server.mcp.posts import Final, Post, deliver, final_error
from openenv.server.mcp.streams import Stream
from openenv.session import Call, Moved, Session
from openenv.tools import Changed, Logged, Note

__all__ = ["StatelessEra"]


class StatelessEra:
    """Serves clients of 2026-07-28.

    Args:
        doors: Finds their sessions.
        server_info: Name and version of what is served.
    """

    def __init__(self, doors: Doors, server_info: Mapping[str, Any]) -> None:
        self._doors = doors
        self._server_info = dict(server_info)
        self._schemas: WeakKeyDictionary[Session, tuple[str | None, dict[str, Any]]] = WeakKeyDictionary()
        self._working: set[asyncio.Task[Final]] = set()

    async def post(self, post: Post, message: Message, session: Session | None) -> None:
        """Answer what a client says.

        Args:
            post: What was sent.
            message: The same, read.
            session: The one that the URL or the token names; ``None``: the one of clients that name none.
        """
        if not isinstance(message, Request):
            await post.json(b"", 202)
            return
        envelope = read_envelope(post.headers, message)
        check_method(message)
        session = session or await self._doors.common(post.scope)
        if session is None:  # it goes on with the older era, in which each client has an environment of its own
            raise McpError(
                METHOD_NOT_FOUND,
                "This server keeps a session for each client: begin with 'initialize'",
                http_status=404,
                id=message.id,
            )
        self._doors.asked(session)
        if message.method == "subscriptions/listen":
            await self._listen(post, message, session)
            return
        stream, call = Stream(), call_of(session)
        run = self._final(post, message, envelope, session, stream, call)
        is_quick = session.answers_at_once
        work = await deliver(post, stream, run, is_quick=is_quick, when_cut=lambda: session.cancel_call(call))
        if work is not None:
            self._working.add(work)
            work.add_done_callback(self._working.discard)

    async def _final(
        self, post: Post, request: Request, envelope: Envelope, session: Session, stream: Stream, call: Call
    ) -> Final:
        try:
            if request.method == "server/discover":
                result = await self._discovered(session)
            else:
                if request.method == "tools/call":
                    await self._check_params(post, request, session)
                way = _Way(request, envelope, session, stream, self._server_info)
                result = await answer(session, request, way, call)
            return result_bytes(request.id, complete(result, request.method, self._server_info)), 200
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever it is, the client waits
            return final_error(error, request.id, lambda known: status_of(known.code))

    async def _discovered(self, session: Session) -> dict[str, Any]:
        about = await session.offer("about", {})
        capabilities = server_capabilities(about.get("capabilities", {}), Era.STATELESS)
        return discover_result(self._server_info, capabilities, about.get("instructions"))

    async def _check_params(self, post: Post, request: Request, session: Session) -> None:
        """See that the headers repeat the arguments that the tool wants repeated."""
        name, arguments = request.params.get("name"), request.params.get("arguments")
        if not isinstance(name, str) or not isinstance(arguments, dict | None):
            return
        episode = session.outcome().episode_id  # with the next one, tools from elsewhere may be other ones
        of, known = self._schemas.get(session, (None, {}))
        if of != episode or name not in known:
            listed = await session.offer("tools/list", {"all": True})
            known = {one["name"]: one["inputSchema"] for one in listed["tools"]}
            self._schemas[session] = episode, known
        if name in known:
            check_params(post.headers.params, known[name], arguments or {}, request.id)

    async def _listen(self, post: Post, request: Request, session: Session) -> None:
        """Carry what the client wants to know of, until it hangs up or the session ends."""
        subscription, stream = Subscription(request), Stream()
        stream.put(subscription.acknowledged())

        def ended(_: Session) -> None:
            if not stream.is_over:
                stream.put(result_bytes(request.id, complete(subscription.result(), request.method, self._server_info)))
                stream.end()

        def changed(news: Moved | Changed) -> None:
            if self._doors.shuts_out(post.scope, session, news):
                ended(session)
                return
            notification = news_of(session, news)
            data = None if notification is None else subscription.tagged(notification)
            if data is not None:
                stream.offer(data)

        stop = session.watch(changed)

        session.when_closed(ended)
        self._doors.hold(session)
        try:
            await stream.carry(post.receive, post.send)
        finally:
            self._doors.let_go(session)
            session.forget(ended)
            stop()


class _Way:
    """The way to a client while its request runs."""

    era = Era.STATELESS

    def __init__(
        self,
        request: Request,
        envelope: Envelope,
        session: Session,
        stream: Stream,
        server_info: dict[str, Any],
    ) -> None:
        self._request, self._envelope, self._stream, self._server_info = request, envelope, stream, server_info
        self._key, self._bound_to = session.token_digest, f"{session.id} {session.outcome().episode_id}"
        self.capabilities = askable(envelope.capabilities)
        self.inputs = inputs_so_far(
            request, envelope.request_state, envelope.input_responses, self._key, self._bound_to
        )

    def heard(self, note: Note) -> None:
        if isinstance(note, Changed) or (isinstance(note, Logged) and not self._wants(note.level)):
            return  # changes are for who listens
        notification = notification_of(note, self._envelope.progress_token)
        if notification is not None:
            self._stream.offer(notification_bytes(notification.method, notification.params))

    async def ask(self, requests: Mapping[str, Any], missing: Mapping[str, Any]) -> dict[str, Any]:
        if missing:
            raise missing_capability(dict(missing), self._request.id)
        state = sealed(state_of(self._request, self.inputs, self._bound_to), self._key)
        raise Ends(input_required(dict(requests), state, self._server_info))

    def _wants(self, level: str) -> bool:
        least = self._envelope.log_level
        return least is not None and LOG_LEVELS.index(level) >= LOG_LEVELS.index(least)
