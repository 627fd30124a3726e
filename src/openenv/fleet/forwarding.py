"""HTTP requests: each goes to the worker that has its session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from openenv.errors import ConnectionLost, OpenEnvError, ServerDraining
from openenv.fleet.lines import Frame
from openenv.fleet.mcp_route import mcp_target
from openenv.fleet.route import Route
from openenv.fleet.switch import Neighbours
from openenv.fleet.visits import Answered, Complete, Serve, read_visit, visit
from openenv.protocol import Failed
from openenv.server.exchange import Receive, Request, Scope, Send, path_of
from openenv.server.http import KEY_HEADER, SESSION_COOKIE, SESSION_HEADER, refusal

__all__ = ["Forwarding"]

_SHARED = ("/reset", "/step", "/state")
"""Paths that without the name of a session are about the one that all requests share: it is at the first worker."""

_MCP = "/mcp"

_HARMLESS = ("GET", "HEAD", "DELETE")
_MOST_TRIES = 3
_TOLD = ("method", "path", "raw_path", "query_string", "root_path", "scheme", "http_version", "client", "server")

Message = MutableMapping[str, Any]


class _Fork(msgspec.Struct):
    fork: str = ""


class Forwarding:
    """An ASGI application in front of that of a worker.

    Args:
        app: The worker's own.
        neighbours: All workers.
        max_body_bytes: How much of a body that says where it is to go is read here.
        is_production: Whether each client of MCP has an environment of its own.

    Attributes:
        is_closing: Whether all workers are ending, so that no other one is to be asked.
    """

    def __init__(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        neighbours: Neighbours,
        max_body_bytes: int,
        *,
        is_production: bool = False,
    ) -> None:
        self.is_closing = False
        self._app = app
        self._neighbours = neighbours
        self._max_body_bytes = max_body_bytes
        self._is_production = is_production
        self._by_body = {"/sessions": self._placed, _MCP: self._placed_mcp}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, here or elsewhere."""
        request = Request(scope, receive, path_of(scope), "")
        place = self._by_body.get(request.path)
        if place is not None and scope["method"] == "POST":
            try:
                body = await request.body(self._max_body_bytes)
            except OpenEnvError as error:
                await refusal(Failed.of(error)).send(send)
                return
            owner, receive = await place(request, body), _Replayed(body, receive)
        elif place is not None and request.path == _MCP:
            owner = await self._placed_mcp(request, b"")
        else:
            owner = self._owner(request)
        if owner == self._neighbours.own:
            await self._app(scope, receive, send)
        elif self.is_closing:
            await refusal(Failed.of(_starting_again())).send(send)
        else:
            await _Forwarded(self._neighbours.paths[owner], scope, send).carry(receive)

    def _owner(self, request: Request) -> int:
        first, _, rest = request.path.removeprefix("/").partition("/")
        if first == "sessions" and rest:
            return self._neighbours.owner(rest.partition("/")[0])
        named = request.header(SESSION_HEADER.lower()) or request.cookie(SESSION_COOKIE)
        if named:
            return self._neighbours.owner(named)
        return 0 if request.path in _SHARED else self._neighbours.own

    async def _placed(self, request: Request, body: bytes) -> int:
        try:
            fork = msgspec.json.decode(body or b"{}", type=_Fork).fork
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return self._neighbours.own  # where it will be said what is wrong
        key = request.header(KEY_HEADER.lower())
        return await self._neighbours.placed(f"http {key}" if key else "", fork)

    async def _placed_mcp(self, request: Request, body: bytes) -> int:
        target = mcp_target(request, body)
        if target.session:
            return self._neighbours.owner(target.session)
        if target.is_new:
            return await self._neighbours.placed("")
        if target.client is not None and self._is_production:  # whose environment is that of its token
            return target.client % len(self._neighbours.paths)
        return 0


class _Replayed:
    """Gives a body that was read already to who serves it."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        body, self._body = self._body, None
        return await self._receive() if body is None else {"type": "http.request", "body": body, "more_body": False}


class _Forwarded:
    """One request that is served by another worker.

    Where that worker dies before it answers, and the request does no harm twice, the one that takes its place is asked.
    """

    def __init__(self, path: str, scope: Scope, send: Send) -> None:
        told = {name: scope[name] for name in _TOLD if name in scope}
        headers = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
        names = {name for name, _ in headers}
        self._may_ask_again = scope["method"] in _HARMLESS or KEY_HEADER.lower().encode() in names
        self._header = visit(Serve({**told, "headers": headers}))
        self._path = path
        self._send = send
        self._parts: list[bytes] = []  # of the body, for whoever is asked next
        self._is_asked = self._has_begun = self._is_complete = False
        self._over = asyncio.Event()
        self._tries = 0
        self._route = self._new_route()

    async def carry(self, receive: Receive) -> None:
        """Carry the request there, and the answer back."""
        asking = asyncio.create_task(self._ask(receive))
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait({asking, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asking.cancel()
            over.cancel()
            self._route.close()
        if not self._is_complete and self._over.is_set():
            await self._give_up()

    async def _ask(self, receive: Receive) -> None:
        """Carry the body, and return once the client is gone."""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            if self._is_asked:
                continue
            if part := bytes(message.get("body", b"")):
                self._parts.append(part)
                under_way = self._route.send(part)
                if under_way is not None:
                    await under_way
            if not message.get("more_body"):
                self._is_asked = True
                self._route.control(visit(Complete()))

    def _new_route(self) -> Route:
        self._tries += 1
        return Route(self._path, self._header, self._body, self._said, self._ended)

    def _said(self, raw: bytes) -> Awaitable[None] | None:
        said = read_visit(raw)
        if isinstance(said, Answered):
            self._has_begun = True
            self._parts.clear()
            return self._send({"type": "http.response.start", "status": said.status, "headers": said.headers})
        return self._completed()

    async def _completed(self) -> None:
        self._is_complete = True
        await self._send({"type": "http.response.body", "body": b""})
        self._over.set()

    def _body(self, part: Frame) -> Awaitable[None]:
        return self._send({"type": "http.response.body", "body": part, "more_body": True})

    def _ended(self) -> None:
        again = self._may_ask_again and not self._has_begun and self._tries < _MOST_TRIES
        if not (again and self._route.was_reached):
            self._over.set()
            return
        self._route = self._new_route()
        for part in self._parts:
            self._route.send(part)
        if self._is_asked:
            self._route.control(visit(Complete()))

    async def _give_up(self) -> None:
        """The worker is gone and has not answered."""
        if self._has_begun:
            raise ConnectionLost("the process of the session ended in the middle of its answer")
        error: OpenEnvError = _starting_again()
        if self._route.was_reached and not self._may_ask_again:
            error = ConnectionLost(
                "the process of the session ended before it answered, so it is not known whether the request ran; "
                f"with {KEY_HEADER} it can be sent again"
            )
        await refusal(Failed.of(error)).send(self._send)


def _starting_again() -> ServerDraining:
    return ServerDraining("the process of the session is ending or being started again; try again in a moment")
