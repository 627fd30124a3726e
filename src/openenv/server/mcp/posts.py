"""One request over HTTP: what was sent, and its answer as JSON or, where there is more to say, as a stream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from openenv.errors import OpenEnvError
from openenv.mcp.headers import PostHeaders
from openenv.mcp.messages import INTERNAL_ERROR, McpError, RequestId, error_bytes
from openenv.server.exchange import Answer, Receive, Scope, Send, until_gone
from openenv.server.mcp.answering import failed
from openenv.server.mcp.streams import Stream

__all__ = ["Final", "Post", "deliver", "final_error", "told"]

STREAM_AFTER_S = 1.0
"""Seconds after which a request that still runs is answered with a stream, so that it is not taken for dead."""

Final = tuple[bytes | tuple[bytes, ...], int]
"""The last message of an answer, or those of an array, and its HTTP status where nothing was said before."""

log = logging.getLogger("openenv.server")


@dataclass(slots=True)
class Post:
    """A request.

    Attributes:
        scope, receive, send: Of ASGI.
        headers: Those that MCP gives a meaning.
        body: Its whole body; empty of a GET or DELETE.
    """

    scope: Scope
    receive: Receive
    send: Send
    headers: PostHeaders
    body: bytes = b""

    async def json(self, data: bytes, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Answer with JSON, or with nothing."""
        await Answer(data, status, [*headers]).send(self.send)


async def deliver(
    post: Post,
    stream: Stream,
    run: Awaitable[Final],
    *,
    headers: Sequence[tuple[bytes, bytes]] = (),
    is_quick: bool = False,
    when_cut: Callable[[], None] | None = None,
) -> asyncio.Task[Final] | None:
    """Answer a request: with JSON if nothing is said before and it does not take long, else with a stream.

    Args:
        post: The request.
        stream: Where it says what it has to say while it runs.
        run: Works it out. It raises nothing.
        headers: Of the answer.
        is_quick: Whether it is done without giving others a turn.
        when_cut: Called if the client is gone before the answer.

    Returns:
        The work, where it goes on without the client.
    """
    if is_quick:
        data, status = await run
        if not stream.wanted.done() or not post.headers.takes_events:
            await post.json(_joined(data), status, headers)
            return None
        _put(stream, data)
        stream.end()
        await stream.carry(post.receive, post.send, headers)
        return None
    work = asyncio.ensure_future(run)
    assert isinstance(work, asyncio.Task)
    if post.headers.takes_events:
        either: set[asyncio.Future[Any]] = {work, stream.wanted}
        await asyncio.wait(either, timeout=STREAM_AFTER_S, return_when=asyncio.FIRST_COMPLETED)
        if not work.done() or stream.wanted.done():
            work.add_done_callback(lambda done: _end(stream, done))
            was_there = await stream.carry(post.receive, post.send, headers)
            if work.done():
                return None
            if not was_there and when_cut is not None:
                when_cut()
            return work
    elif not await _before(work, post):
        if when_cut is not None:
            when_cut()
        return work
    data, status = work.result()
    await post.json(_joined(data), status, headers)
    return None


async def _before(work: asyncio.Task[Final], post: Post) -> bool:
    """Whether the work is done before the client is gone."""
    gone = asyncio.create_task(until_gone(post.receive))
    either: set[asyncio.Future[Any]] = {work, gone}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    return work.done()


def _end(stream: Stream, done: asyncio.Task[Final]) -> None:
    if not done.cancelled():
        _put(stream, done.result()[0])
    stream.end()


def _put(stream: Stream, data: bytes | tuple[bytes, ...]) -> None:
    for message in data if isinstance(data, tuple) else (data,):
        stream.put(message)


def _joined(data: bytes | tuple[bytes, ...]) -> bytes:
    return b"[%b]" % b",".join(data) if isinstance(data, tuple) else data


def final_error(
    error: BaseException, request_id: RequestId | None, status_of: Callable[[McpError], int]
) -> tuple[bytes, int]:
    """What is answered where a request failed."""
    if isinstance(error, OpenEnvError):
        error = failed(error)
    elif not isinstance(error, McpError):
        log.error("an MCP request failed inside the server", exc_info=error)
        error = McpError(INTERNAL_ERROR, "Internal error")
    return error_bytes(request_id if error.id is None else error.id, error), status_of(error)


def told(error: OpenEnvError | McpError, request_id: RequestId | None = None) -> Answer:
    """A refusal of the request as such: no MCP session, no access, nobody to ask.

    Args:
        error: Why; an ``McpError`` has an id of its own.
        request_id: Of the request, where it could be read.
    """
    if isinstance(error, McpError):
        return Answer(error_bytes(error.id, error), error.http_status)
    answer = Answer(error_bytes(request_id, failed(error)), error.http_status)
    if error.http_status == 401:
        answer.headers.append((b"www-authenticate", b"Bearer"))
    if "retry_after_s" in error.details:
        answer.headers.append((b"retry-after", b"%d" % max(1, round(error.details["retry_after_s"]))))
    return answer
