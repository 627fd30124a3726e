"""MCP clients that send what a test wants, byte for byte, and keep every byte that they get."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

from tests.e2e.living import DEADLINE_S

from openenv.mcp.sse import SseDecoder

OLDER, STATELESS = "2025-11-25", "2026-07-28"
JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
_META = "io.modelcontextprotocol"


class Exchange:
    """One HTTP request that was sent, whose answer is read as far as the test wants.

    Args:
        url: Of the server, without a path.
        method, path: What is asked.
        headers: All of them besides ``Content-Length``, and ``Host`` unless it is among them.
        body: What is sent.
        heard: Takes every byte of the answer's body.
    """

    def __init__(
        self,
        url: str,
        method: str,
        path: str,
        headers: Mapping[str, str] = JSON,
        body: bytes = b"",
        heard: bytearray | None = None,
    ) -> None:
        self._line = HTTPConnection(url.removeprefix("http://"), timeout=DEADLINE_S)
        self._line.request(method, path, body, dict(headers))
        self._answer: HTTPResponse | None = None
        self._decoder = SseDecoder()
        self._heard = bytearray() if heard is None else heard
        self._waiting: list[dict[str, Any]] = []
        self._is_whole = False
        self.last_id = ""
        self.body = b""

    @property
    def answer(self) -> HTTPResponse:
        """Status and headers, which are waited for."""
        if self._answer is None:
            self._answer = self._line.getresponse()
        return self._answer

    @property
    def status(self) -> int:
        return self.answer.status

    def header(self, name: str) -> str | None:
        return self.answer.headers.get(name)

    @property
    def is_stream(self) -> bool:
        return self.header("content-type") == "text/event-stream"

    def until_primed(self) -> str:
        """Wait for an event that has an id, so that the stream is known to be there."""
        while not self.last_id:
            assert self._more(), "the stream ended"
        return self.last_id

    def next(self) -> dict[str, Any]:
        """The next message; fails at the end."""
        while not self._waiting:
            assert self._more(), f"there is no further message: {self.status} {self.body[:500]!r}"
        return self._waiting.pop(0)

    def messages(self) -> Iterator[dict[str, Any]]:
        """All messages up to the end."""
        while self._waiting or self._more():
            while self._waiting:
                yield self._waiting.pop(0)

    def final(self) -> dict[str, Any]:
        """The last message, at the end."""
        *_, last = self.messages()
        return last

    def read(self) -> bytes:
        """The whole body."""
        while self._more():
            pass
        return self.body

    def hang_up(self) -> None:
        """Cut the connection."""
        if self._answer is not None:
            self._answer.close()
        self._line.close()

    def __del__(self) -> None:
        self.hang_up()  # tests need not read what they do not look at

    def _more(self) -> bool:
        piece = self.answer.read1(1 << 20)
        self._heard += piece
        self.body += piece
        if self.is_stream:
            for event in self._decoder.feed(piece):
                self.last_id = event.id or self.last_id
                if event.data:
                    self._waiting.append(json.loads(event.data))
        elif not piece and self.body and not self._is_whole:
            self._waiting.append(json.loads(self.body))
            self._is_whole = True
            return True
        return bool(piece)


class Client:
    """One MCP client.

    Attributes:
        heard: Every byte of every body that it got.
        headers: What it sends with every request.
    """

    version: str

    def __init__(self, url: str, path: str = "/mcp", token: str | None = None) -> None:
        self.url, self.path = url, path
        self.heard = bytearray()
        self.headers = dict(JSON)
        if token is not None:
            self.headers["authorization"] = f"Bearer {token}"
        self._ids = 0

    def send(self, method: str, params: dict[str, Any] | None = None, **headers: str) -> Exchange:
        """Send a request, and do not wait."""
        raise NotImplementedError

    def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer to a request."""
        return self.send(method, params).final()

    def begin(self, tool: str, arguments: dict[str, Any] | None = None, *, wants_progress: bool = False) -> Exchange:
        """Send a call, and do not wait."""
        meta: dict[str, Any] = {"_meta": {"progressToken": "p"}} if wants_progress else {}
        return self.send("tools/call", {"name": tool, "arguments": arguments or {}, **meta})

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The answer to a call: ``result`` or ``error``."""
        return self.begin(tool, arguments).final()

    def text(self, tool: str, **arguments: Any) -> tuple[bool, str]:
        """Whether a call failed, and the text of its result."""
        result = self.call(tool, **arguments)["result"]
        return result.get("isError", False), result["content"][0]["text"]

    def post(self, body: bytes, **headers: str) -> Exchange:
        """Send that very body."""
        return Exchange(self.url, "POST", self.path, {**self.headers, **headers}, body, self.heard)

    @property
    def last_request(self) -> int:
        """Id of the request that was sent last."""
        return self._ids

    def _numbered(self, method: str, params: dict[str, Any]) -> bytes:
        self._ids += 1
        return json.dumps({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params}).encode()


class Older(Client):
    """A client of 2025-11-25; it has begun unless it is told not to."""

    version = OLDER

    def __init__(self, url: str, path: str = "/mcp", token: str | None = None, *, begun: bool = True) -> None:
        super().__init__(url, path, token)
        if begun:
            self.initialize()

    def initialize(self, version: str = OLDER, **capabilities: Any) -> dict[str, Any]:
        """Begin (anew); gives the result."""
        self.headers.pop("mcp-session-id", None)
        self.headers.pop("mcp-protocol-version", None)
        info = {"name": "raw", "version": "1"}
        asked = {"protocolVersion": version, "capabilities": capabilities, "clientInfo": info}
        exchange = self.send("initialize", asked)
        answer = exchange.final()
        assert "result" in answer, answer
        named = exchange.header("mcp-session-id")
        assert named is not None
        self.headers |= {"mcp-session-id": named, "mcp-protocol-version": answer["result"]["protocolVersion"]}
        assert self.notify("notifications/initialized").status == 202
        result: dict[str, Any] = answer["result"]
        return result

    def send(self, method: str, params: dict[str, Any] | None = None, **headers: str) -> Exchange:
        return self.post(self._numbered(method, params or {}), **headers)

    def notify(self, method: str, params: dict[str, Any] | None = None) -> Exchange:
        """Send a notification; its answer is read."""
        exchange = self.post(json.dumps({"jsonrpc": "2.0", "method": method, "params": params or {}}).encode())
        exchange.read()
        return exchange

    def cancel(self, request: int) -> None:
        assert self.notify("notifications/cancelled", {"requestId": request}).status == 202

    def listen(self, after: str | None = None) -> Exchange:
        """Open the stream of ``GET``."""
        more = {} if after is None else {"last-event-id": after}
        headers = {**self.headers, "accept": "text/event-stream", **more}
        return Exchange(self.url, "GET", self.path, headers, heard=self.heard)

    def leave(self) -> int:
        """End the MCP session; gives the status."""
        exchange = Exchange(self.url, "DELETE", self.path, self.headers, heard=self.heard)
        exchange.read()
        return exchange.status


class Stateless(Client):
    """A client of 2026-07-28."""

    version = STATELESS

    def send(self, method: str, params: dict[str, Any] | None = None, **headers: str) -> Exchange:
        given = params or {}
        meta = {
            f"{_META}/protocolVersion": STATELESS,
            f"{_META}/clientInfo": {"name": "raw", "version": "1"},
            f"{_META}/clientCapabilities": {},
            **given.get("_meta", {}),
        }
        told = {"mcp-protocol-version": STATELESS, "mcp-method": method}
        named = given.get("uri" if method == "resources/read" else "name")
        if isinstance(named, str):
            told["mcp-name"] = named
        return self.post(self._numbered(method, {**given, "_meta": meta}), **{**told, **headers})

    def listen(self, **wanted: Any) -> Exchange:
        """Open a stream of ``subscriptions/listen``."""
        return self.send("subscriptions/listen", {"notifications": wanted})


ERAS: tuple[type[Older] | type[Stateless], ...] = (Older, Stateless)

GONE = (HTTPException, OSError)
"""What a client sees whose connection is cut."""
