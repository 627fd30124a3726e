"""An outside server behind a URL: Streamable HTTP."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx

from openenv.errors import ToolsetUnavailable
from openenv.mcp.client import ClientCore
from openenv.mcp.happenings import Answer, Asked, Happening, InputWanted, Opened, Outgoing, Refused, Told
from openenv.mcp.messages import McpError, RequestId
from openenv.mcp.sse import SseDecoder, SseEvent
from openenv.mcp.versions import Era
from openenv.mounts.link import CAPABILITIES, CLIENT_INFO, MAX_MESSAGE_BYTES, CoreLink, Listener, Outcome
from openenv.tools.forwarding import QUESTIONS

__all__ = ["HttpLink"]

_CONNECT_S = 10.0
_ASIDE_S = 5.0  # for what is only told, such as the end of a session
_RETURNS = 5  # to a stream that broke, without an event in between
_RETURN_AFTER_S = (0.1, 30.0)  # at least and at most, whatever the server says
_EVENTS = "text/event-stream"


class HttpLink(CoreLink):
    """A link to a URL. ``HttpLink.start`` makes one."""

    opened: Opened

    def __init__(self, name: str, url: str, headers: Mapping[str, str], first: Era) -> None:
        self._name = name
        self._url = url
        self._core = ClientCore(CLIENT_INFO, CAPABILITIES, answers=QUESTIONS, first=first)
        self._http = httpx.AsyncClient(
            headers=dict(headers),
            timeout=httpx.Timeout(_CONNECT_S, read=None, write=60.0),
            trust_env=not _is_local(url),
            follow_redirects=False,
        )
        self._is_gone = False
        self._aside: set[asyncio.Task[None]] = set()

    @staticmethod
    async def start(name: str, url: str, headers: Mapping[str, str], first: Era, timeout_s: float) -> HttpLink:
        """Get to know the server.

        Args:
            name: Of the server, for messages.
            url: Its endpoint.
            headers: What goes with every request.
            first: The era to begin with.
            timeout_s: Seconds until it must have answered.

        Raises:
            ToolsetUnavailable: It cannot be used.
        """
        link = HttpLink(name, url, headers, first)
        try:
            await asyncio.wait_for(link._open(), timeout_s)
        except BaseException as error:
            await asyncio.shield(asyncio.ensure_future(link.close()))
            if isinstance(error, TimeoutError):
                raise ToolsetUnavailable(f"MCP server {name} did not answer within {timeout_s:g} s") from None
            raise
        return link

    async def _open(self) -> None:
        to_send = [self._core.opening()]
        while to_send:
            one = to_send.pop(0)
            if one.id is None:
                await self._post(one)
                continue
            found = await self._exchange(one, Listener())
            if isinstance(found, Refused):
                raise ToolsetUnavailable(f"MCP server {self._name} refuses {found.method}: {found.error.message}")
            to_send += self._core.take()
        if self._core.opened is None:
            raise self._unavailable("does not answer as an MCP server does")
        self.opened = self._core.opened

    async def _answered(self, sent: Outgoing, listener: Listener) -> Outcome:
        assert sent.id is not None  # of a request
        try:
            found = await self._exchange(sent, listener)
        except asyncio.CancelledError:
            if self.opened.era is Era.OLDER:
                self._later(self._post(self._core.cancel(sent.id, "the caller does not want the result any more")))
            else:  # the end of its stream says it
                self._core.forget(sent.id)
            raise
        except ToolsetUnavailable:
            self._is_gone = True
            raise
        if not isinstance(found, Answer | Refused | InputWanted):
            self._is_gone = True
            raise self._unavailable("did not answer the request")
        return found

    async def is_alive(self) -> bool:
        return not self._is_gone

    def renew(self) -> None:
        """A new episode begins."""

    async def close(self) -> None:
        headers = self._core.closing_headers()
        try:
            if headers is not None and not self._is_gone:
                await asyncio.wait_for(self._http.delete(self._url, headers=headers), _ASIDE_S)
        except (httpx.HTTPError, TimeoutError):
            pass
        finally:
            for task in [*self._aside]:
                task.cancel()
            await self._http.aclose()

    # One request ---------------------------------------------------------------------------------------------

    async def _exchange(self, sent: Outgoing, listener: Listener) -> Happening | None:
        """Send a request; what becomes of it. ``None``: nothing but that the core has something else to send."""
        id = sent.id
        assert id is not None  # of a request
        last_id, wait_s, returns = "", 1.0, 0
        async with self._asked("POST", headers=sent.headers, content=sent.body) as response:
            if response.status_code >= 400:
                return self._failed(id, response, await self._body(response))
            session = response.headers.get("mcp-session-id")
            if sent.method == "initialize" and session:
                self._core.session_id = session
            if not response.headers.get("content-type", "").lower().startswith(_EVENTS):
                return self._received(await self._body(response), id, listener)[1]
            async for event in self._events(response):
                last_id, wait_s = event.id or last_id, _between(event.retry, wait_s)
                is_over, found = self._received(event.data.encode(), id, listener)
                if is_over:
                    return found
        while last_id and self._core.session_id is not None and returns < _RETURNS:  # nothing lets one return else
            returns += 1
            await asyncio.sleep(wait_s)
            async with self._asked("GET", headers=self._core.stream_headers(last_id)) as response:
                if response.status_code >= 400:
                    break
                async for event in self._events(response):
                    if event.id and event.id != last_id:
                        last_id, returns = event.id, 0
                    wait_s = _between(event.retry, wait_s)
                    is_over, found = self._received(event.data.encode(), id, listener)
                    if is_over:
                        return found
        raise self._unavailable("broke off its answer")

    def _failed(self, id: RequestId, response: httpx.Response, body: bytes) -> Happening | None:
        status = response.status_code
        if status == 404 and self._core.session_id is not None:
            raise self._unavailable("does not know its session any more")
        if status in (401, 403):
            raise self._unavailable(f"answered with HTTP status {status}: are its credentials right?")
        return self._core.failed(id, status, body)

    def _received(self, body: bytes, id: RequestId, listener: Listener) -> tuple[bool, Happening | None]:
        """What a message says, and whether the request is over with it."""
        if not body:
            return False, None
        try:
            found = self._core.receive(body)
        except McpError as error:
            raise self._unavailable(f"sent what is no MCP message: {error.message}") from None
        match found:
            case Told():
                if found.method != "notifications/progress" or found.params.get("progressToken") == id:
                    listener.told(found)
            case Asked():
                self._later(self._answer(found, listener))
            case Opened():
                return True, found
            case Answer() | Refused() | InputWanted():
                return found.id == id, found
        if self._core.opened is None:  # the handshake goes on with another request
            return True, None
        for one in self._core.take():
            self._later(self._post(one))
        return False, None

    async def _answer(self, asked: Asked, listener: Listener) -> None:
        await self._post(self._core.answer(asked, await listener.asked(asked)))

    async def _post(self, one: Outgoing) -> None:
        """Send what is not answered."""
        async with self._asked("POST", headers=one.headers, content=one.body):
            pass

    def _later(self, coroutine: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            with suppress(ToolsetUnavailable, TimeoutError):  # who waits for the request finds out
                await asyncio.wait_for(coroutine, 60.0)

        task = asyncio.get_running_loop().create_task(guarded())
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    # Bytes ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _asked(self, method: str, **given: Any) -> AsyncIterator[httpx.Response]:
        try:
            async with self._http.stream(method, self._url, **given) as response:
                if 300 <= response.status_code < 400:
                    raise self._unavailable(f"points to {response.headers.get('location', '')!r}; give that url")
                yield response
        except httpx.ConnectError as error:
            raise self._unavailable(f"cannot be reached at {self._url}: {error}") from error
        except httpx.HTTPError as error:
            raise self._unavailable(f"is lost: {type(error).__name__}: {error}".removesuffix(": ")) from error

    async def _body(self, response: httpx.Response) -> bytes:
        found = bytearray()
        async for piece in response.aiter_bytes():
            found += piece
            if len(found) > MAX_MESSAGE_BYTES:
                raise self._unavailable(f"sent a message of more than {MAX_MESSAGE_BYTES // 2**20} MiB")
        return bytes(found)

    async def _events(self, response: httpx.Response) -> AsyncIterator[SseEvent]:
        decoder = SseDecoder(MAX_MESSAGE_BYTES)
        try:
            async for piece in response.aiter_bytes():
                for event in decoder.feed(piece):
                    yield event
        except ValueError as error:
            raise self._unavailable(f"sent too much: {error}") from None
        except httpx.HTTPError:  # as if it had ended: whether one can return to it is seen then
            return

    def _unavailable(self, what: str) -> ToolsetUnavailable:
        return ToolsetUnavailable(f"MCP server {self._name} {what}")


def _between(retry_ms: int | None, before_s: float) -> float:
    least, most = _RETURN_AFTER_S
    return before_s if retry_ms is None else min(max(retry_ms / 1000, least), most)


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
