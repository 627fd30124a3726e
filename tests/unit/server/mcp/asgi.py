"""One HTTP exchange as an ASGI server would have it, by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from openenv.mcp.headers import PostHeaders
from openenv.mcp.sse import SseDecoder, SseEvent
from openenv.server.mcp.posts import Post

BOTH = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


class Exchange:
    """What a client sends and gets."""

    def __init__(
        self, body: bytes = b"", headers: Mapping[str, str] = BOTH, method: str = "POST", path: str = "/mcp"
    ) -> None:
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"test"), *pairs],
        }
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._inbox.put_nowait({"type": "http.request", "body": body})
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.is_complete = False
        self._decoder = SseDecoder()
        self.events: list[SseEvent] = []
        self._changed = asyncio.Event()

    @property
    def post(self) -> Post:
        return Post(self.scope, self.receive, self.send, PostHeaders.read(self.scope["headers"]))

    def hang_up(self) -> None:
        self._inbox.put_nowait({"type": "http.disconnect"})

    async def receive(self) -> dict[str, Any]:
        return await self._inbox.get()

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")
            if self.is_stream:
                self.events += self._decoder.feed(message.get("body", b""))
            self.is_complete = not message.get("more_body", False)
        self._changed.set()

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type") == "text/event-stream"

    @property
    def said(self) -> list[str]:
        """The data of the events, without those that only have an id."""
        return [one.data for one in self.events if one.data]

    async def until(self, condition: Any) -> None:
        """Wait until something holds of what has come so far."""
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()
