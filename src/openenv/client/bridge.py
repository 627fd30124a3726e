"""MCP messages of a stdio client, passed on to a server over HTTP, and what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import NamedTuple

import httpx
import msgspec

from openenv.client.address import Address
from openenv.client.bridge_headers import BridgeHeaders, is_cancellation
from openenv.client.bridge_lines import messages_of
from openenv.mcp.headers import era_of
from openenv.mcp.messages import INTERNAL_ERROR, McpError, Message, Request, Response, error_bytes, is_batch, read
from openenv.mcp.sse import SseDecoder
from openenv.mcp.versions import Era

__all__ = ["Bridge", "endpoint_of"]

_CONNECT_S = 10.0
_FAREWELL_S = 3.0
_GRACE_S = 10.0
"""Seconds that requests under way are given once the client has said all."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_MOST_RETURNS = 6
"""How often an answer whose stream was cut is asked for again without anything new."""


def endpoint_of(url: str) -> str:
    """The MCP endpoint that a URL names: of a server as a whole its ``/mcp``.

    Raises:
        ConfigurationError: It is no URL.
    """
    base = Address.parse(url).http
    return base if base.endswith("/mcp") else f"{base}/mcp"


class _Call(NamedTuple):
    """A request under way."""

    task: asyncio.Task[None]
    method: str
    era: Era


class _Left(NamedTuple):
    """Where a stream of events ended.

    Attributes:
        answered: Whether the answer that it was followed for has come.
        event_id: The last id that it gave.
        pause_s: What it said of how long to wait before coming back.
        heard: Whether anything came.
    """

    answered: bool
    event_id: str
    pause_s: float
    heard: bool


_LET_IN = "; give --token, or set OPENENV_TOKEN"
_OTHER_SERVER = "; is it the URL of an OpenEnv server?"


class Bridge:
    """Passes messages on, those of both eras, and gives what comes back.

    Args:
        url: The MCP endpoint.
        headers: Additional headers of every request.
        write: Takes each message that comes back, on one line without its end.
        say: Takes lines for people.

    Attributes:
        failed: Whether the server could not be reached when it was asked last.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        write: Callable[[bytes], Awaitable[None]],
        say: Callable[[str], None],
    ) -> None:
        self._url, self._write, self._say = url, write, say
        self._headers = BridgeHeaders()
        self._http = httpx.AsyncClient(
            headers=dict(headers),
            timeout=httpx.Timeout(None, connect=_CONNECT_S),  # a call takes as long as it takes
            limits=httpx.Limits(max_connections=None),
            trust_env=not Address.parse(url).is_local,
        )
        self._calls: dict[int | str, _Call] = {}
        self._waiting: set[int | str] = set()  # those of an array whose turn has not come
        self._listening: asyncio.Task[None] | None = None
        self._said = ""
        self.failed = False

    async def run(self, lines: AsyncIterator[bytes]) -> None:
        """Pass on every line, until there are no more and all is answered."""
        async for line in lines:
            try:
                if is_batch(line):
                    await self._several(line)
                elif line.strip():
                    await self._one(read(line), line)
            except McpError as error:
                await self._write(error_bytes(error.id, error))
        waiting = [call.task for call in self._calls.values() if call.method != "subscriptions/listen"]
        if waiting:
            await asyncio.wait(waiting, timeout=_GRACE_S)

    async def close(self) -> None:
        """End what is under way, and the session."""
        running = [call.task for call in self._calls.values()]
        if self._listening is not None:
            running.append(self._listening)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        headers = self._headers.of_end()
        if headers is not None and not self.failed:
            with suppress(httpx.HTTPError):
                await self._http.delete(self._url, headers=headers, timeout=_FAREWELL_S)
        await self._http.aclose()

    # What the client says ------------------------------------------------------------------------

    async def _one(self, message: Message, line: bytes) -> None:
        if is_cancellation(message):
            await self._cancel(message, line)
        elif not isinstance(message, Request):
            await self._tell(message, line)
        elif message.method == "initialize":
            await self._answer(message, line)  # what follows needs what it says
        else:
            self._begin(message, self._answer(message, line))

    async def _several(self, line: bytes) -> None:
        """Pass on an array message by message: what is not answered at once, the requests one after the other."""
        turn = asyncio.Lock()
        for message, part in messages_of(line, self._headers.version):
            if isinstance(message, McpError):
                await self._write(error_bytes(message.id, message))
            elif isinstance(message, Request):
                self._waiting.add(message.id)
                self._begin(message, self._in_turn(turn, message, part))
            else:
                await self._one(message, part)

    async def _in_turn(self, turn: asyncio.Lock, request: Request, line: bytes) -> None:
        async with turn:
            self._waiting.discard(request.id)
            await self._answer(request, line)

    def _begin(self, request: Request, answering: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(answering)
        self._calls[request.id] = _Call(task, request.method, era_of(None, request))
        task.add_done_callback(lambda done: self._ended(request.id, done))

    def _ended(self, id: int | str, task: asyncio.Task[None]) -> None:
        found = self._calls.get(id)
        self._waiting.discard(id)
        if found is not None and found.task is task:
            del self._calls[id]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._tell_people(f"unexpected {type(error).__name__}: {error}")

    async def _cancel(self, message: Message, line: bytes) -> None:
        asked = None if isinstance(message, Response) else message.params.get("requestId")
        call = self._calls.get(asked) if isinstance(asked, int | str) else None
        if call is not None and (call.era is Era.STATELESS or asked in self._waiting):
            call.task.cancel()  # that era takes a request back by closing its stream; one that waits was not sent
        else:
            await self._tell(message, line)

    async def _tell(self, message: Message, line: bytes) -> None:
        """Pass on what is not answered."""
        try:
            response = await self._http.post(self._url, content=line, headers=self._headers.of(message))
        except (httpx.HTTPError, ValueError) as error:  # the latter: what cannot stand in a header
            self._unreachable(error)
            return
        self._reached()
        if response.status_code >= 400:
            self._tell_people(f"{self._url} refused a message with HTTP status {response.status_code}")
        elif not isinstance(message, Response) and getattr(message, "method", "") == "notifications/initialized":
            if self._listening is not None:
                self._listening.cancel()
            self._listening = asyncio.create_task(self._listen())

    async def _answer(self, request: Request, line: bytes) -> None:
        """Pass on a request and what comes back; whatever happens, it is answered."""
        try:
            error = await self._ask(request, line)
        except httpx.HTTPError as broken:
            error = McpError(INTERNAL_ERROR, self._unreachable(broken))
        except ValueError as wrong:  # an event that is too long, or text that is none
            error = McpError(INTERNAL_ERROR, f"cannot read the answer of {self._url}: {wrong}")
        if error is not None:
            await self._write(error_bytes(request.id, error))

    async def _ask(self, request: Request, line: bytes) -> McpError | None:
        """Pass on a request and what comes back; what to answer where no answer came."""
        headers = self._headers.of(request)
        async with self._http.stream("POST", self._url, content=line, headers=headers) as response:
            self._reached()
            session_id = response.headers.get("mcp-session-id")
            if response.status_code < 400 and _is_stream(response):
                left = await self._follow(response, request, session_id)
                if left.answered:
                    return None
            else:
                return await self._whole(request, await response.aread(), response.status_code, session_id)
        if left.event_id and era_of(None, request) is Era.OLDER and await self._return(request, left):
            return None
        return McpError(INTERNAL_ERROR, "the connection to the server broke before it answered")

    async def _whole(self, request: Request, body: bytes, status: int, session_id: str | None) -> McpError | None:
        """Pass on an answer that is no stream."""
        try:
            answer = read(body)
        except McpError:
            answer = None
        if isinstance(answer, Response) and answer.id == request.id:
            self._headers.note(request, answer, session_id)
            await self._write(_one_line(body))
            return None
        told = " ".join(body[:300].decode(errors="replace").split())
        if isinstance(answer, Response) and answer.error is not None:  # about a request that it did not read
            told = answer.error.message
        if status >= 400:
            is_mcp = isinstance(answer, Response) and answer.error is not None
            remedy = _LET_IN if status == 401 else "" if is_mcp else _OTHER_SERVER
            self._tell_people(f"{self._url} answers HTTP {status}: {told}{remedy}")
        if isinstance(answer, Response) and answer.error is not None:
            return answer.error
        return McpError(INTERNAL_ERROR, f"the server answered HTTP {status} without an MCP message: {told}")

    # What the server says ------------------------------------------------------------------------

    async def _follow(
        self, response: httpx.Response, request: Request | None = None, session_id: str | None = None
    ) -> _Left:
        """Pass on a stream of events, to its end or to the answer of a request."""
        decoder = SseDecoder()
        answered, event_id, pause_s, heard = False, "", _FIRST_PAUSE_S, False
        with suppress(httpx.StreamError, httpx.TransportError):  # a cut is an end
            async for piece in response.aiter_bytes():
                for event in decoder.feed(piece):
                    heard, event_id = True, event.id
                    pause_s = pause_s if event.retry is None else event.retry / 1000
                    answered = await self._pass_on(event.data, request, session_id) or answered
                if answered:
                    break
        return _Left(answered, event_id, min(pause_s, _LONGEST_PAUSE_S), heard)

    async def _pass_on(self, data: str, request: Request | None, session_id: str | None) -> bool:
        """Whether it is the answer to the request."""
        if not data:
            return False  # an event that only has an id
        try:
            message = read(data)
        except McpError as error:
            self._tell_people(f"the server sent what is no MCP message: {error}")
            return False
        is_answer = request is not None and isinstance(message, Response) and message.id == request.id
        if is_answer:
            assert request is not None
            assert isinstance(message, Response)
            self._headers.note(request, message, session_id)
        await self._write(_one_line(data.encode()))
        return is_answer

    async def _return(self, request: Request, left: _Left) -> bool:
        """Ask for the rest of a stream that was cut; whether the answer came."""
        returns = 0
        while returns < _MOST_RETURNS:
            await asyncio.sleep(left.pause_s)
            returns += 1
            try:
                headers = self._headers.of_stream(left.event_id)
                async with self._http.stream("GET", self._url, headers=headers) as response:
                    if response.status_code >= 400 or not _is_stream(response):
                        return False
                    more = await self._follow(response, request)
            except httpx.HTTPError as error:
                self._unreachable(error)
                continue
            self._reached()
            if more.answered:
                return True
            if more.heard:
                returns = 0
                left = more._replace(event_id=more.event_id or left.event_id)
        return False

    async def _listen(self) -> None:
        """Pass on what a server of the older era says by itself, for as long as it offers that."""
        event_id, pause_s = "", _FIRST_PAUSE_S
        while True:
            try:
                headers = self._headers.of_stream(event_id)
                async with self._http.stream("GET", self._url, headers=headers) as response:
                    if response.status_code >= 400 or not _is_stream(response):
                        return  # it offers none, or the session is over
                    left = await self._follow(response)
                event_id, pause_s = left.event_id or event_id, left.pause_s
            except httpx.HTTPError:  # the next request tells it
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            await asyncio.sleep(pause_s)

    # What people are told ------------------------------------------------------------------------

    def _unreachable(self, error: Exception) -> str:
        self.failed = True
        said = f"cannot reach {self._url}: {' '.join(str(error).split()) or type(error).__name__}"
        self._tell_people(f"{said}; does the server run, and is that its URL?")
        return said

    def _reached(self) -> None:
        self.failed, self._said = False, ""

    def _tell_people(self, said: str) -> None:
        if said != self._said:
            self._said = said
            self._say(said)


def _is_stream(response: httpx.Response) -> bool:
    kind: str = response.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower() == "text/event-stream"


def _one_line(message: bytes) -> bytes:
    """A message without line breaks."""
    return msgspec.json.format(message, indent=-1) if b"\n" in message or b"\r" in message else message
