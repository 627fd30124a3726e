"""MCP clients over ASGI, of an application in the test's own loop, and a world for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from tests.unit.server.lifespan import living
from tests.unit.server.mcp.asgi import BOTH, Exchange

from openenv import Observation
from openenv.app import create_app
from openenv.environment import ToolEnvironment
from openenv.protocol import Reset
from openenv.session import Session, SessionEngine
from openenv.tools import Elicit, Sample, ToolContext, prompt, resource, tool

OLDER, STATELESS = "2025-11-25", "2026-07-28"
_PREFIX = "io.modelcontextprotocol"
PATIENCE_S = 20


class Desk(ToolEnvironment):
    """Answers, waits, asks and tells."""

    SUPPORTS_CONCURRENT_SESSIONS: ClassVar[bool] = True
    instructions: ClassVar[str | None] = "Be brief."
    began: ClassVar[asyncio.Event]
    go: ClassVar[asyncio.Event]
    resets: ClassVar[list[int]]

    def reset(self, seed: int | None = None) -> Observation:
        self.resets.append(1)
        self.is_open = False
        return Observation()

    @tool
    def add(self, a: int, b: int = 0) -> int:
        """Add."""
        self.award(0.625)
        return a + b

    @tool
    def tell(self, context: ToolContext) -> str:
        """Say something of each kind."""
        context.progress(1, 2, "half")
        context.log("detail", "debug")
        context.log("trouble", "error", "desk")
        context.changed("desk://rules")
        return "told"

    @tool
    async def wait(self, context: ToolContext) -> str:
        """Wait for the test."""
        type(self).began.set()
        await type(self).go.wait()
        return "waited"

    @tool
    def greet(self, context: ToolContext) -> str:
        """Ask for a name, and then for an age."""
        first = context.ask(name=Elicit("Who?", {"type": "object", "properties": {"name": {"type": "string"}}}))
        if first["name"]["action"] != "accept":
            return "nobody"
        second = context.ask(age=Elicit("How old?", {"type": "object", "properties": {"age": {"type": "integer"}}}))
        return f"{first['name']['content']['name']} {second['age']['content']['age']}"

    @tool
    def dream(self, context: ToolContext) -> str:
        """Ask the client's model."""
        return str(context.ask(words=Sample("Dream."))["words"])

    @tool
    def overpay(self) -> str:
        """Award what is no number."""
        self.award(float("nan"))
        return "rich"

    @tool
    def unlock(self) -> str:
        """Bring another tool."""
        self.is_open = True
        return "open"

    @tool(visible=lambda self: self.is_open)
    def hidden(self) -> str:
        """Come later."""
        return "found"

    @resource("desk://rules")
    def rules(self) -> str:
        """The rules."""
        return "be kind"

    @prompt
    def begin_work(self, who: str) -> str:
        """Begin."""
        return f"begin, {who}"


class Site:
    """The application, its engine, and all that MCP clients of it do."""

    def __init__(self, app: Any, world: type[Desk]) -> None:
        self.app, self.world = app, world
        self.engine: SessionEngine = app.state.engine
        self._tasks: set[asyncio.Task[None]] = set()

    async def session(self) -> Session:
        """One that a trainer opened and began."""
        session = await self.engine.open()
        self.engine.leases.begin(session)
        await session.reset(Reset())
        return session

    def begin(self, exchange: Exchange) -> Exchange:
        """Have a request served, and do not wait."""
        self._tasks.add(asyncio.create_task(self.app(exchange.scope, exchange.receive, exchange.send)))
        return exchange

    async def serve(self, exchange: Exchange) -> Exchange:
        """Have a request served."""
        self.begin(exchange)
        await exchange.until(lambda: exchange.is_complete)
        return exchange

    async def until(self, true: Any) -> None:
        """Let everybody else go on until it is so."""
        async with asyncio.timeout(PATIENCE_S):
            while not true():  # noqa: ASYNC110 - it looks at what others do
                await asyncio.sleep(0)

    @property
    def clients(self) -> Any:
        """What the server knows of MCP sessions, once it was asked."""
        [door] = {one._door for one in self.app.state.surface._endpoints if one.name == "mcp"}
        return door._endpoint._older._clients

    @property
    def unserved(self) -> list[asyncio.Task[None]]:
        """Requests that are being served."""
        return [one for one in self._tasks if not one.done()]

    async def aclose(self) -> None:
        """All that was begun must come to its end."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*self._tasks)


class Speaker:
    """One client.

    Attributes:
        headers: What it sends with every request.
    """

    def __init__(self, site: Site, path: str = "/mcp", token: str | None = None) -> None:
        self.site, self.path = site, path
        self.headers = dict(BOTH)
        if token is not None:
            self.headers["authorization"] = f"Bearer {token}"
        self.ids = 0

    def request(self, method: str, params: dict[str, Any] | None = None, **headers: str) -> Exchange:
        """A request that is not served yet."""
        self.ids += 1
        body = {"jsonrpc": "2.0", "id": self.ids, "method": method, "params": params or {}}
        return self.exchange(json.dumps(body).encode(), **headers)

    def exchange(self, body: bytes = b"", method: str = "POST", **headers: str) -> Exchange:
        told = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return Exchange(body, told, method, self.path)

    async def ask(self, method: str, params: dict[str, Any] | None = None, **headers: str) -> Any:
        """The answer to a request: its last message."""
        return last(await self.site.serve(self.request(method, params, **headers)))

    async def call(self, tool: str, arguments: dict[str, Any] | None = None, **more: Any) -> Any:
        return await self.ask("tools/call", {"name": tool, "arguments": arguments or {}, **more})

    def calling(self, tool: str, arguments: dict[str, Any] | None = None, **more: Any) -> Exchange:
        """A call that is served now."""
        return self.site.begin(self.request("tools/call", {"name": tool, "arguments": arguments or {}, **more}))


class OlderSpeaker(Speaker):
    async def initialize(self, version: str = OLDER, **capabilities: Any) -> Any:
        asked = {"protocolVersion": version, "capabilities": capabilities, "clientInfo": {"name": "x", "version": "1"}}
        exchange = await self.site.serve(self.request("initialize", asked))
        answer = last(exchange)
        if "result" in answer:
            self.headers |= {"mcp-session-id": exchange.headers["mcp-session-id"], "mcp-protocol-version": version}
            assert (await self.notify("notifications/initialized")).status == 202
        return answer

    async def notify(self, method: str, params: dict[str, Any] | None = None) -> Exchange:
        return await self.say({"jsonrpc": "2.0", "method": method, "params": params or {}})

    async def say(self, message: dict[str, Any]) -> Exchange:
        """Send what is no request."""
        exchange = await self.site.serve(self.exchange(json.dumps(message).encode()))
        assert exchange.body == b"" or exchange.status != 202
        return exchange

    def listening(self, after: str | None = None) -> Exchange:
        more = {} if after is None else {"last-event-id": after}
        return self.site.begin(self.exchange(method="GET", **more))

    async def leave(self) -> int:
        return (await self.site.serve(self.exchange(method="DELETE"))).status


class StatelessSpeaker(Speaker):
    capabilities: ClassVar[dict[str, Any]] = {}

    def request(self, method: str, params: dict[str, Any] | None = None, **headers: str) -> Exchange:
        given = params or {}
        meta = {
            f"{_PREFIX}/protocolVersion": STATELESS,
            f"{_PREFIX}/clientCapabilities": self.capabilities,
            **given.get("_meta", {}),
        }
        told = {"mcp-protocol-version": STATELESS, "mcp-method": method}
        named = given.get("uri" if method == "resources/read" else "name")
        if isinstance(named, str):
            told["mcp-name"] = named
        return super().request(method, {**given, "_meta": meta}, **{**told, **headers})


def last(exchange: Exchange) -> Any:
    """The last message of an answer."""
    return json.loads(exchange.said[-1] if exchange.is_stream else exchange.body)


def text(answer: Any) -> tuple[bool, str]:
    """Whether a call failed, and what its result says."""
    result = answer["result"]
    return result.get("isError", False), result["content"][0]["text"]


@asynccontextmanager
async def spoken(base: type[Desk] = Desk, capacity: int = 8, **options: Any) -> AsyncIterator[Site]:
    """An application of a class of its own; all requests must have been answered at the end."""
    own = {"began": asyncio.Event(), "go": asyncio.Event(), "resets": [], "__doc__": base.__doc__}
    cls = type(base.__name__, (base,), own)
    app = create_app(cls, max_concurrent_envs=capacity, **{"isolation": "inline", **options})
    async with living(app):
        site = Site(app, cls)
        yield site
        cls.go.set()
        for session in site.engine.sessions:
            await session.close()
        await site.aclose()
