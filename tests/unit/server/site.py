"""An application without a network, on a clock of the test's own, looked after until the test ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI
from tests.unit.session.still import Clock
from tests.unit.session.worlds import Move, Seen, World, threads_left

from openenv.server import MAX_MESSAGE_BYTES
from openenv.server.app import build_app
from openenv.session import EnvironmentSpec, SessionEngine


class Site:
    """An application on a clock of the test's own, started and stopped by the fixture."""

    def __init__(self, cls: type[World], capacity: int | None, ends: AsyncExitStack, **more: Any) -> None:
        self.ledger, self.clock = cls.ledger, Clock()
        self.engine = SessionEngine(EnvironmentSpec.of(cls, Move, Seen, "world"), capacity, clock=self.clock, **more)
        self.app: FastAPI = build_app(self.engine, max_message_bytes=MAX_MESSAGE_BYTES)
        self._ends = ends

    async def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app)
        return await self._ends.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://test"))

    async def passes(self, seconds: float, left: int = 1) -> None:
        """Let time pass, and what is over end: so many sessions are left."""
        self.clock.now += seconds
        self.engine.reap()
        await asyncio.gather(*(session.close() for session in self.engine.sessions if session.is_ending))
        assert self.engine.active == left


@asynccontextmanager
async def sites() -> AsyncIterator[Callable[..., Awaitable[Site]]]:
    """Starts applications; afterwards they are stopped, and no thread is left."""
    async with AsyncExitStack() as ends:

        async def made(cls: type[World], capacity: int | None = None, **more: Any) -> Site:
            one = Site(cls, capacity, ends, **more)
            await ends.enter_async_context(one.app.router.lifespan_context(one.app))
            ends.callback(cls.ledger.gate.set)
            return one

        yield made
    assert not threads_left()


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def key(name: str, session: str | None = None) -> dict[str, str]:
    return {"Idempotency-Key": name, **({"X-OpenEnv-Session": session} if session else {})}
