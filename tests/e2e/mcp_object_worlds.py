"""An environment around a server object of whichever MCP library is installed; its tools use the library's context."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from openenv import MCPEnvironment, Observation, State

LIBRARIES = (
    ("fastmcp", "FastMCP"),
    ("mcp.server.mcpserver", "MCPServer"),
    ("mcp.server.fastmcp", "FastMCP"),
)


def library() -> tuple[Any, type[Any]]:
    """The class of a server, and that of the context."""
    for module, name in LIBRARIES:
        try:
            found = import_module(module)
        except ImportError:
            continue
        return getattr(found, name), found.Context
    raise ImportError("no MCP library is installed")


SERVER, Context = library()
SENT: list[str] = []


class Name(BaseModel):
    name: str


@asynccontextmanager
async def living(_: Any) -> AsyncIterator[dict[str, list[int]]]:
    """What one connection is given."""
    yield {"visits": []}


def made() -> Any:
    """A server with tools of all kinds."""
    server = SERVER("objects", instructions="Count.", lifespan=living)

    @server.tool()
    def add(a: int, b: int = 2) -> int:
        """Add."""
        return a + b

    @server.tool()
    async def tell(ctx: Context, words: str) -> str:
        """Say something, and how far it is."""
        await ctx.report_progress(1, 2, "half")
        await ctx.info(words)
        return "told"

    @server.tool()
    async def greet(ctx: Context) -> str:
        """Ask for a name."""
        answer = await ctx.elicit("Who?", Name)
        if answer.action != "accept":
            return answer.action
        SENT.append(answer.data.name)  # what a tool does after it has asked is done once
        return f"hello {answer.data.name} {len(SENT)}"

    @server.tool()
    async def wait(ctx: Context) -> str:
        """Wait for ever."""
        await ctx.report_progress(1)
        try:
            await asyncio.Event().wait()
        finally:
            SENT.append("stopped")
        return "never"

    @server.tool()
    async def visits(ctx: Context) -> int:
        """How often it was called over one connection."""
        visits = ctx.request_context.lifespan_context["visits"]
        visits.append(1)
        return len(visits)

    @server.tool()
    async def sent(ctx: Context) -> str:
        """What was done."""
        return ",".join(SENT)

    @server.tool()
    def overdraw(amount: int) -> int:
        """Fail, without a context."""
        raise ValueError(f"{amount} is too much")

    @server.tool()
    async def fail(ctx: Context, amount: int) -> str:
        """Fail."""
        raise ValueError(f"{amount} is too much")

    @server.resource("objects://rules")
    def rules() -> str:
        """The rules."""
        return "be kind"

    @server.tool()
    async def read(ctx: Context) -> str:
        """Read the rules."""
        return "be kind" if "be kind" in str(await ctx.read_resource("objects://rules")) else "nothing"

    return server


class Objects(MCPEnvironment[State]):
    """Served as it is."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        super().__init__(made())

    def reset(self, seed: int | None = None) -> Observation:
        SENT.clear()
        return Observation()


class Stepped(Objects):
    """The same with a step of its own, which does not await."""

    def step(self, action: Any, **options: Any) -> Any:
        return super().step(action, **options)
