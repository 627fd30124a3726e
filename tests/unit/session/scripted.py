"""Environments that answer by a script, and a session of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.unit.session.worlds import Seen, World, world

from openenv.environment import EnvironmentPlan
from openenv.errors import EpisodeLost
from openenv.protocol import Observed, Reset, StateIs, Step
from openenv.session import Placement
from openenv.session.hosting.host import After
from openenv.session.isolation import WorkerDied
from openenv.session.session import Session
from openenv.types import State

Script = list[Any]
"""What the moves of one environment answer, in order: a value, an error, or a future to wait for."""


class Scripted:
    """A host that answers by its script."""

    placement = Placement.PROCESS
    prompt = None

    def __init__(self, plan: EnvironmentPlan, script: Script, after: After = After.GONE) -> None:
        self.plan = plan
        self.script = script
        self.after = after
        self.asked: list[str] = []
        self.closed = 0

    async def reset(self, request: Reset) -> Observed:
        return await self._answer("reset")

    async def step(self, request: Step) -> Observed:
        return await self._answer(f"step {msgspec.json.decode(bytes(request.action))}")

    async def state(self) -> StateIs:
        await self._answer("state")
        return StateIs(state=State())

    async def metadata(self) -> Any:
        return None

    async def snapshot(self) -> bytes:
        raise NotImplementedError

    async def restore(self, snapshot: bytes) -> None:
        raise NotImplementedError

    def expect_deadlines(self) -> None:
        self.asked.append("deadlines")

    async def interrupt(self, call: asyncio.Task[Any]) -> After:
        if self.after is not After.STUCK:
            call.cancel()
            await asyncio.wait({call})
        if self.after is After.GONE:
            self.script = [dead()] * 2
        return self.after

    async def close(self) -> None:
        self.closed += 1

    async def _answer(self, what: str) -> Observed:
        self.asked.append(what)
        found = self.script.pop(0)
        if isinstance(found, asyncio.Future):
            found = await found
        if isinstance(found, BaseException):
            raise found
        return Observed(observation=Seen(value=found))


class Family:
    """The environments that a session may get, one after another."""

    def __init__(self, *scripts: Script, after: After = After.GONE, **attributes: Any) -> None:
        plan = EnvironmentPlan.of(world(World, **attributes))
        self.hosts = [Scripted(plan, script, after) for script in scripts]
        self.given = 1
        self.stranded: list[Any] = []
        self.fails: Exception | None = None

    async def rebuild(self) -> Scripted:
        if self.fails is not None:
            raise self.fails
        self.given += 1
        return self.hosts[self.given - 1]

    def has_better(self, host: Any) -> bool:
        return False

    def strand(self, host: Any, call: asyncio.Task[Any]) -> None:
        self.stranded.append((host, call))

    def drop(self, host: Any) -> None:
        host.closed += 1

    def session(self) -> Session:
        return Session(self.hosts[0], self)


def take(n: int, timeout_s: float | None = None) -> Step:
    return Step(action=msgspec.Raw(str(n).encode()), timeout_s=timeout_s)


def dead() -> WorkerDied:
    return WorkerDied("its process was killed by SIGSEGV")


async def lost(call: Any) -> str:
    with pytest.raises(EpisodeLost) as error:
        await call
    return str(error.value.details["reason"])


async def until(happened: Callable[[], bool]) -> None:
    for _ in range(1000):
        if happened():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come")
