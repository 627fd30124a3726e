"""The older era over HTTP: POST asks, GET listens, DELETE ends, and an ``Mcp-Session-Id`` ties them together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from openenv.mcp.capabilities import server_capabilities
from openenv.mcp.headers import check_older_version
from openenv.mcp.messages import (
    INVALID_REQUEST,
    McpError,
    Message,
    Notification,
    Request,
    Response,
    error_bytes,
    notification_bytes,
    result_bytes,
)
from openenv.mcp.older import OlderSession, check_batch
from openenv.mcp.shapes import for_version
from openenv.mcp.stateless import ASKING_METHODS
from openenv.mcp.versions import Era
from openenv.server.exchange import Scope
from openenv.server.mcp.answering import NotAnswered, answer, askable, call_of, news_of, notification_of
from openenv.server.mcp.clients import Client, Clients
from openenv.server.mcp.doors import Doors
from openenv.server.mcp.posts import Final, Post, deliver, final_error
from openenv.server.mcp.streams import Stream
from openenv.session import Call, Moved, Session
from openenv.tools import Changed, Note

__all__ = ["OlderEra"]

_ASK_S = 600.0
"""Seconds that a client's user or model is given for an answer."""


class OlderEra:
    """Serves clients that begin with ``initialize``.

    Args:
        doors: Finds their sessions.
        server_info: Name and version of what is served.
    """

    def __init__(self, doors: Doors, server_info: Mapping[str, Any]) -> None:
        self._doors = doors
        self._server_info = dict(server_info)
        self._clients = Clients(doors.end)

    async def begin(self, post: Post, request: Request, session: Session | None) -> None:
        """Answer an ``initialize``.

        Args:
            post: What was sent.
            request: The same, read.
            session: The one that the URL or the token names; ``None``: the client gets one of its own.
        """
        core = OlderSession()
        core.check(request)
        OlderSession().initialize(request, self._server_info, {}, None)  # what cannot be agreed on opens no session
        is_alone = session is None
        if session is None:
            session = await self._doors.fresh(post.scope)
        self._doors.asked(session)
        try:
            about = await session.offer("about", {})
            result = core.initialize(
                request,
                self._server_info,
                server_capabilities(about.get("capabilities", {}), Era.OLDER),
                about.get("instructions"),
            )
        except BaseException:
            if is_alone:
                self._doors.end(session)
            raise
        client = self._clients.begin(session, core, is_alone=is_alone)
        await post.json(result_bytes(request.id, result), 200, [_id_header(client)])

    def client(self, post: Post, session: Session) -> Client:
        """The client that a request is of.

        Raises:
            McpError: It says of none that is known (404), or of none at all (400).
        """
        if post.headers.session_id is None:
            raise McpError(INVALID_REQUEST, "Missing Mcp-Session-Id: begin with 'initialize'")
        check_older_version(post.headers)
        self._doors.asked(session)
        return self._clients.find(session, post.headers.session_id, post.headers.version)

    async def post(self, post: Post, message: Message, client: Client) -> None:
        """Take what a client says after its ``initialize``."""
        if isinstance(message, Request):
            await self._request(post, message, client)
            return
        _take(client, message)
        await post.json(b"", 202)

    async def batch(self, post: Post, messages: Sequence[Message | McpError], client: Client) -> None:
        """Take an array of messages: its requests are made one after the other, in their order.

        What is not answered waits for nothing, so that it cannot wait behind a request that waits for it.

        Raises:
            McpError: The client may not send one (400).
        """
        check_batch(messages, client.core.version)
        asked: list[tuple[Request, Call] | McpError] = []
        for message in messages:
            if isinstance(message, Request):
                asked.append((message, _begun(client, message)))
            elif isinstance(message, McpError):
                asked.append(message)
        for message in messages:
            if isinstance(message, Notification | Response):
                _take(client, message)
        if not asked:
            await post.json(b"", 202)
            return
        stream = client.new_stream()
        run = self._finals(asked, client, stream)
        client.goes_on(await deliver(post, stream, run, headers=[_id_header(client)]))
        client.carried(stream)

    async def listen(self, post: Post, client: Client) -> None:
        """Carry what is no answer, or go on with an answer that was cut off, until the client hangs up."""
        if not post.headers.takes_events:
            raise McpError(INVALID_REQUEST, "Accept must allow text/event-stream", http_status=406)
        after = post.headers.last_event_id
        headers = [_id_header(client)]
        stream = None if after is None else client.stream_of(after)
        if stream is not None and stream.kept(after) is not None and stream is not client.standing:
            await stream.carry(post.receive, post.send, headers, after)
            client.carried(stream)
            return
        if stream is None or stream is not client.standing or stream.kept(after) is None:
            stream = client.stand()
        stop = client.session.watch(partial(self._changed, post.scope, client, stream))
        self._doors.hold(client.session)
        try:
            await stream.carry(post.receive, post.send, headers, after)
        finally:
            self._doors.let_go(client.session)
            stop()

    async def end(self, post: Post, client: Client) -> None:
        """The client has ended its MCP session, and with it the session that was opened for it."""
        for call in client.running.values():
            client.session.cancel_call(call)
        self._clients.end(client)
        if client.is_alone:
            await self._doors.ended(client.session)
        await post.json(b"", 200)

    def _changed(self, scope: Scope, client: Client, stream: Stream, news: Moved | Changed) -> None:
        """Tell a client what it wants to know of."""
        if self._doors.shuts_out(scope, client.session, news):
            stream.end()
            return
        notification = news_of(client.session, news)
        if notification is not None and client.core.wants(notification):
            stream.offer(notification_bytes(notification.method, notification.params))

    async def _request(self, post: Post, request: Request, client: Client) -> None:
        stream = client.new_stream()
        call = _begun(client, request)
        run = self._final(request, client, stream, call)
        # who can be asked is asked on the stream while the request runs
        may_ask = request.method in ASKING_METHODS and askable(client.core.client_capabilities)
        is_quick = client.session.answers_at_once and not may_ask
        client.goes_on(await deliver(post, stream, run, headers=[_id_header(client)], is_quick=is_quick))
        client.carried(stream)

    async def _finals(self, asked: Sequence[tuple[Request, Call] | McpError], client: Client, stream: Stream) -> Final:
        said = []
        for one in asked:
            if isinstance(one, McpError):
                said.append(error_bytes(one.id, one))
            else:
                request, call = one
                said.append((await self._final(request, client, stream, call))[0])
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    break  # nobody is answered any more
                await asyncio.sleep(0)  # an environment that answers at once would keep all others waiting
        return tuple(said), 200

    async def _final(self, request: Request, client: Client, stream: Stream, call: Call) -> tuple[bytes, int]:
        try:
            client.core.check(request)
            return result_bytes(request.id, await self._answer(request, client, stream, call)), 200
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever it is, the client waits
            return final_error(error, request.id, lambda known: 404 if known.http_status == 404 else 200)
        finally:
            if client.running.get(request.id) is call:  # a client may use an id twice
                del client.running[request.id]

    async def _answer(self, request: Request, client: Client, stream: Stream, call: Call) -> dict[str, Any]:
        match request.method:
            case "ping":
                return {}
            case "logging/setLevel":
                return client.core.set_level(request)
            case "resources/subscribe" | "resources/unsubscribe":
                return client.core.subscribe(request)
        found = await answer(client.session, request, _Way(client, request, stream), call)
        return for_version(found, client.core.version)


class _Way:
    """The way to a client while one of its requests runs."""

    era = Era.OLDER

    def __init__(self, client: Client, request: Request, stream: Stream) -> None:
        self.inputs: dict[str, Any] = {}
        self.capabilities = askable(client.core.client_capabilities)
        self._client, self._stream, self._request_id = client, stream, request.id
        token = request.meta.get("progressToken")
        self._progress_token = token if isinstance(token, int | str) else None

    def heard(self, note: Note) -> None:
        if isinstance(note, Changed) and self._client.standing is not None:
            return  # it is told there
        notification = notification_of(note, self._progress_token)
        if notification is not None and self._client.core.wants(notification):
            self._stream.offer(notification_bytes(notification.method, notification.params))

    async def ask(self, requests: Mapping[str, Any], missing: Mapping[str, Any]) -> dict[str, Any]:
        if missing:
            raise NotAnswered(f"This tool needs a client that declares: {', '.join(missing)}")
        loop = asyncio.get_running_loop()
        asked: dict[str, asyncio.Future[object]] = {}
        ids = []
        for name, one in requests.items():
            asked[name] = loop.create_future()
            params = for_version(one["params"], self._client.core.version)
            question, data = self._client.core.ask(one["method"], params, asked[name])
            ids.append(question)
            self._stream.put(data)
        self._client.waiting.update(dict.fromkeys(asked.values(), self._request_id))
        try:
            async with asyncio.timeout(_ASK_S):
                return {name: _content(await future) for name, future in asked.items()}
        except (TimeoutError, asyncio.CancelledError):
            raise NotAnswered("The client did not answer what the tool asked.") from None
        finally:
            for future in asked.values():
                self._client.waiting.pop(future, None)
            for question in ids:
                self._client.core.withdraw(question)


def _begun(client: Client, request: Request) -> Call:
    """What a request is known by until it is answered."""
    call = call_of(client.session)
    if request.method == "tools/call":
        client.running[request.id] = call
    return call


def _take(client: Client, message: Notification | Response) -> None:
    if isinstance(message, Notification):
        cancelled = client.core.notified(message)
        if cancelled is not None:
            client.gives_up(cancelled)
            if (call := client.running.get(cancelled)) is not None:
                client.session.cancel_call(call)
        return
    found = client.core.answered(message)
    if found is not None and isinstance(found.about, asyncio.Future) and not found.about.done():
        found.about.set_result(found.result if found.error is None else found.error)


def _content(answered: object) -> Any:
    if isinstance(answered, McpError):
        raise NotAnswered(f"The client refused what the tool asked: {answered.message}")
    return answered


def _id_header(client: Client) -> tuple[bytes, bytes]:
    return b"mcp-session-id", client.id.encode()
