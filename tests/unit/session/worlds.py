"""Environments that behave badly on request, and the ledger that they write."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
from pydantic import field_validator, model_validator

from openenv.environment import Environment
from openenv.errors import EpisodeLost
from openenv.protocol import Reset, Step
from openenv.session import EnvironmentSpec, Placement, Session, SessionEngine
from openenv.session.hosting.placement import PROOF_STEPS
from openenv.types import Action, Observation, State

PATIENCE_S = 20
"""How long a test waits for what must come; only a broken build waits that long."""


class Move(Action):
    how: str = "ok"
    n: int = 0

    @field_validator("n")
    @classmethod
    def _small(cls, n: int) -> int:
        if n > 100:
            raise ValueError("n is at most 100")
        if n == 77:
            raise KeyError("validators may raise anything")
        if n == 78:
            sys.exit(3)
        if n == 79:
            raise KeyboardInterrupt
        if n == 80:
            raise asyncio.CancelledError
        return n

    @model_validator(mode="after")
    def _not_both(self) -> Move:
        if self.how == "ok" and self.n == 66:
            raise ValueError("66 needs another how")
        return self


class Seen(Observation):
    value: Any = None


class Ledger:
    """What the instances of one class went through, in order, and gates to hold them up."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.entries: list[tuple[str, int, int]] = []  # what, instance, thread
        self.gate = threading.Event()
        self.seen: list[dict[str, Any]] = []

    def note(self, what: str, instance: object) -> None:
        with self.changed:
            self.entries.append((what, getattr(instance, "number", 0), threading.get_ident()))
            self.changed.notify_all()

    def count(self, what: str) -> int:
        return sum(entry[0] == what for entry in self.entries)

    def wait(self, what: str, times: int = 1) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.count(what) >= times, PATIENCE_S), f"no {what} came"

    def threads(self, instance: int) -> set[int]:
        return {thread for _, number, thread in self.entries if number == instance}

    def most_alive(self) -> int:
        """The most instances that were there at the same time."""
        alive = most = 0
        for what, _, _ in self.entries:
            alive += {"made": 1, "close": -1}.get(what, 0)
            most = max(most, alive)
        return most

    def check_closed_once(self) -> None:
        """Every instance that was made is closed, once."""
        made = [number for what, number, _ in self.entries if what == "made"]
        closed = Counter(number for what, number, _ in self.entries if what == "close")
        assert closed == Counter(made), f"made {made}, closed {dict(closed)}"


def act(how: str, world: World, count: int) -> Any:
    """Do what is asked for; returns what ``reset`` or ``step`` is to return."""
    match how:
        case "raise":
            raise RuntimeError("boom")
        case "exit":
            sys.exit(3)
        case "interrupt":
            raise KeyboardInterrupt
        case "cancelled":
            raise asyncio.CancelledError
        case "stop":
            raise StopIteration
        case "nested":
            raise EpisodeLost("the episode of an inner client")
        case "none":
            return None
        case "wrong":
            return {"value": 1}
        case "nan" | "nan_done":
            return Seen(value=count, reward=float("nan"), done=how == "nan_done")
        case "huge":
            return Seen(value=count, reward=10**400)
        case "huge_beyond_text":
            return Seen(value=count, reward=-(10**5000))
        case "object":
            return Seen(value=[1, object()], reward=2.5)
        case "done":
            return Seen(value=count, reward=1.0, done=True)
        case "run":
            coroutine = _forty_two()
            try:
                return Seen(value=asyncio.run(coroutine))
            finally:
                coroutine.close()
        case "wait":
            world.ledger.note("waiting", world)
            assert world.ledger.gate.wait(PATIENCE_S)
    return Seen(value=count, reward=float(count))


async def _forty_two() -> int:
    await asyncio.sleep(0)
    return 42


class World(Environment[Move, Seen, State]):
    """Does what it is told to."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    ledger: ClassVar[Ledger]
    on_make: ClassVar[str] = "ok"
    on_close: ClassVar[str] = "ok"

    def __init__(self) -> None:
        self.ledger.note("making", self)
        act(self.on_make, self, 0)
        with self.ledger.changed:
            self.number = self.ledger.count("made") + 1
            self.ledger.note("made", self)
        self.count = 0

    def reset(self, seed: int | None = None, episode_id: str | None = None, how: str = "ok") -> Seen:
        self.ledger.note("reset", self)
        self.ledger.seen.append({"seed": seed, "episode_id": episode_id, "how": how})
        self.count = 0
        return act(how, self, 0)

    def step(self, action: Move, bonus: int = 0) -> Seen:
        self.ledger.note("step", self)
        self.count += 1
        return act(action.how, self, self.count + bonus)

    @property
    def state(self) -> State:
        self.ledger.note("state", self)
        return State(step_count=self.count)

    def close(self) -> None:
        self.ledger.note("close", self)
        act(self.on_close, self, 0)


class AsyncWorld(World):
    """The same, awaited."""

    async def reset_async(self, seed: int | None = None, episode_id: str | None = None, how: str = "ok") -> Seen:
        await asyncio.sleep(0)
        return self.reset(seed, episode_id, how)

    async def step_async(self, action: Move, bonus: int = 0) -> Seen:
        await asyncio.sleep(0)
        return self.step(action, bonus)


def world(base: type[World] = World, **attributes: Any) -> type[World]:
    """A class of its own, with a ledger of its own."""
    return type(base.__name__, (base,), {"ledger": Ledger(), "__doc__": base.__doc__, **attributes})


def engine_of(env: Any, capacity: int | None = None) -> SessionEngine:
    return SessionEngine(EnvironmentSpec.of(env, Move, Seen, "world"), capacity)


def factory_of(cls: type[World]) -> Callable[[], World]:
    """A function that makes such an environment and does not say of which class."""

    def make() -> Any:
        return cls()

    return make


def step_of(how: str = "ok", n: int = 0, **more: Any) -> Step:
    return Step(action=msgspec.Raw(msgspec.json.encode({"how": how, "n": n})), **more)


async def open_inline(engine: SessionEngine) -> Session:
    """A session in the loop's thread, once the class is proven fast; a busy machine may need several proofs."""
    for _ in range(20):
        session = await engine.open()
        if session.placement is Placement.INLINE:
            return session
        await session.reset(Reset())
        for _ in range(PROOF_STEPS + 5):
            await session.step(step_of())
        await session.close()
    raise AssertionError("a fast class was never trusted")


def threads_left() -> list[threading.Thread]:
    """Threads of environments that do not end; those that are about to end are waited for."""
    ours = "openenv-mounts"  # one of the whole process, which outlives its sessions
    found = [one for one in threading.enumerate() if one.name.startswith("openenv-") and one.name != ours]
    for thread in found:
        thread.join(PATIENCE_S / 4)
    return [thread for thread in found if thread.is_alive()]
