"""One HTTP request and its answer, straight on ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from openenv.errors import InvalidRequest, MessageTooLarge

__all__ = ["Answer", "Endpoint", "Receive", "Request", "Scope", "Send", "Streamed", "path_of", "until_gone"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def path_of(scope: Scope) -> str:
    """The path below the place where the application is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and f"{path}/".startswith(f"{root}/") else path


async def until_gone(receive: Receive) -> None:
    """Return once the client has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Request:
    """What is asked.

    Attributes:
        scope: Its ASGI scope.
        path: See ``path_of``.
        named: The part of the path that the endpoint has in braces; empty where it has none.
    """

    __slots__ = ("_receive", "named", "path", "scope")

    def __init__(self, scope: Scope, receive: Receive, path: str, named: str) -> None:
        self.scope, self.path, self.named = scope, path, named
        self._receive = receive

    def header(self, name: str) -> str | None:
        """The first header of that name, which is to be in lower case."""
        wanted = name.encode()
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == wanted), None)

    def cookie(self, name: str) -> str | None:
        """The cookie of that name."""
        for pair in (self.header("cookie") or "").split(";"):
            key, _, value = pair.strip().partition("=")
            if key == name:
                return value.strip('"')
        return None

    async def body(self, most: int) -> bytes:
        """The whole body.

        Raises:
            MessageTooLarge: It has more than ``most`` bytes.
            InvalidRequest: The connection ended first.
        """
        chunks, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":  # nobody is there to read this
                raise InvalidRequest("the connection ended in the middle of the body")
            chunk = message.get("body", b"")
            chunks.append(chunk)
            size += len(chunk)
            if size > most:
                raise MessageTooLarge(f"the body is over {most} bytes")
            if not message.get("more_body"):
                return b"".join(chunks)

    async def gone(self) -> None:
        """Wait until nobody is there any more to read an answer; what is left of the body is dropped."""
        await until_gone(self._receive)


@dataclass(slots=True)
class Answer:
    """What is answered: JSON, or nothing.

    Attributes:
        body: JSON text; may be empty.
        status: Of HTTP.
        headers: Besides those of the body, names in lower case.
    """

    body: bytes = b""
    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def send(self, send: Send) -> None:
        """Send it."""
        if self.body:
            self.headers.append((b"content-type", b"application/json"))
        if self.status != 204:  # without a length it would be sent in chunks, also where there is nothing
            self.headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


class Streamed(Answer):
    """An answer that is sent piece by piece, until there is no more or nobody reads it.

    Args:
        request: What is answered.
        pieces: What is sent.
        media_type: Of the whole.
    """

    def __init__(self, request: Request, pieces: AsyncGenerator[bytes, None], media_type: str) -> None:
        super().__init__(headers=[(b"content-type", media_type.encode()), (b"cache-control", b"no-store")])
        self._request, self._pieces = request, pieces

    async def send(self, send: Send) -> None:
        """Send it."""
        sending, gone = asyncio.create_task(self._pump(send)), asyncio.create_task(self._request.gone())
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not gone.done():
                await sending
        finally:
            sending.cancel()
            gone.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)
            await self._pieces.aclose()

    async def _pump(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        async for piece in self._pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class Endpoint:
    """One way in over HTTP, as an ASGI application.

    Args:
        method: Of the request.
        path: Of the request; one of its parts may be a name in braces and stands for any text then.
        act: Answers it, also with an error.
        says: What it is for, in one line.
        name: What it does, in one word; the name of ``act`` if empty.

    Attributes:
        name: As given. ``access`` has a row for it.
    """

    def __init__(
        self, method: str, path: str, act: Callable[[Request], Awaitable[Answer]], says: str, name: str = ""
    ) -> None:
        self.method, self.path, self.says = method, path, says
        self.name = name or act.__name__
        self._act = act
        self._before, brace, rest = path.partition("{")
        self._after = rest.partition("}")[2]
        self._is_fixed = not brace

    def named(self, method: str, path: str) -> str | None:
        """The part of a request's path that this has in braces, or ``""``; ``None``: it is not for this endpoint."""
        if method != self.method or not path.startswith(self._before):
            return None
        if self._is_fixed:
            return "" if path == self._before else None
        found = self._named(path)
        return found if found and "/" not in found and path.endswith(self._after) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that is for it."""
        path = path_of(scope)
        answer = await self._act(Request(scope, receive, path, self._named(path)))
        await answer.send(send)

    def _named(self, path: str) -> str:
        return "" if self._is_fixed else path[len(self._before) : len(path) - len(self._after)]
