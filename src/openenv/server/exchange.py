"""One HTTP request and its answer, straight on ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from openenv.errors import InvalidRequest, MessageTooLarge

__all__ = ["Answer", "Endpoint", "Receive", "Request", "Scope", "Send", "path_of"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def path_of(scope: Scope) -> str:
    """The path below the place where the application is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and f"{path}/".startswith(f"{root}/") else path


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
            self.headers += [
                (b"content-length", b"%d" % len(self.body)),
                (b"content-type", b"application/json"),
            ]
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


class Endpoint:
    """One way in over HTTP, as an ASGI application.

    Args:
        method: Of the request.
        path: Of the request; its last part may be a name in braces and stands for any text then.
        act: Answers it, also with an error.
        says: What it is for, in one line.

    Attributes:
        name: What it does, in one word.
    """

    def __init__(self, method: str, path: str, act: Callable[[Request], Awaitable[Answer]], says: str) -> None:
        self.method, self.path, self.says = method, path, says
        self.name = act.__name__
        self._act = act
        self._fixed, brace, _ = path.partition("{")
        self._is_fixed = not brace

    def named(self, method: str, path: str) -> str | None:
        """The part of a request's path that this has in braces, or ``""``; ``None``: it is not for this endpoint."""
        if method != self.method or not path.startswith(self._fixed):
            return None
        rest = path[len(self._fixed) :]
        fits = not rest if self._is_fixed else rest and "/" not in rest
        return rest if fits else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that is for it."""
        path = path_of(scope)
        answer = await self._act(Request(scope, receive, path, path[len(self._fixed) :]))
        await answer.send(send)
