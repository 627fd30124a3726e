"""A server without network, threads or passing time: what happens in it is up to the test alone."""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from unittest.mock import patch

import msgspec
from tests.unit.session.worlds import Move, Seen

from openenv.environment import Environment
from openenv.protocol import Failed, Open, Opened, Request, Reset, Resume, Resumed, Step
from openenv.session import EnvironmentSpec, Openings, Peer, Placement, Session, SessionEngine, SharedSession
from openenv.session.hosting.placement import SpeedRecord
from openenv.types import State

_ROUNDS = 60  # of the event loop, after which everything that can happen has happened


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class _Watchful(selectors.DefaultSelector):
    """Fails where the loop would sleep: with time standing still nobody would wake it."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        assert found or timeout == 0, "everybody waits, and nothing can happen any more"
        return found


class StillLoop(asyncio.SelectorEventLoop):
    """An event loop that goes by such a clock."""

    def __init__(self, clock: Clock) -> None:
        self._still = clock
        super().__init__(_Watchful())

    def time(self) -> float:
        return self._still()


async def settled() -> None:
    """Let everything happen that needs no time."""
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)


class Diary:
    """What the environments of one class went through, and what holds them up."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, int]] = []  # what, instance
        self.made = 0
        self.open = asyncio.Event()  # for those who are to wait

    def note(self, what: str, number: int) -> None:
        self.entries.append((what, number))

    def count(self, what: str, number: int | None = None) -> int:
        return sum(one == what and number in (None, instance) for one, instance in self.entries)

    def check_closed_once(self) -> None:
        """Every instance that was made is closed, once."""
        closed = Counter(number for what, number in self.entries if what == "closed")
        assert closed == Counter(range(1, self.made + 1)), f"made {self.made}, closed {dict(closed)}"

    def most_alive(self) -> int:
        """The most instances that were there at the same time; one that is being closed still is."""
        alive = most = 0
        for what, _ in self.entries:
            alive += {"made": 1, "closed": -1}.get(what, 0)
            most = max(most, alive)
        return most


class Room(Environment[Move, Seen, State]):
    """Waits when it is told to, without holding up anybody else."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    diary: Diary
    on_make: str = "ok"
    on_close: str = "ok"

    def __init__(self) -> None:
        self.diary.note("making", 0)
        if self.on_make == "raise":
            raise RuntimeError("boom")
        self.diary.made += 1
        self.number = self.diary.made
        self.diary.note("made", self.number)
        self.count = 0

    def reset(self) -> Seen:
        raise NotImplementedError

    async def reset_async(self) -> Seen:
        self.diary.note("reset", self.number)
        self.count = 0
        return Seen(value=[self.number, 0])

    def step(self, action: Move) -> Seen:
        raise NotImplementedError

    async def step_async(self, action: Move) -> Seen:
        self.diary.note("step", self.number)
        if action.how == "wait":
            self.diary.note("waiting", self.number)
            await self.diary.open.wait()
        if action.how == "raise":
            raise RuntimeError("boom")
        self.count += 1
        return Seen(value=[self.number, self.count])

    @property
    def state(self) -> State:
        return State(step_count=self.count)

    async def close(self) -> None:  # type: ignore[override]
        self.diary.note("closing", self.number)
        if self.on_close == "wait":
            await self.diary.open.wait()
        self.diary.note("closed", self.number)
        if self.on_close == "raise":
            raise RuntimeError("boom")


class Plain:
    """A codec whose frames are the messages."""

    subprotocol: str | None = "plain"

    def decode(self, frame: Any) -> Any:
        return frame

    def encode(self, reply: Any) -> Any:
        if isinstance(reply, Failed):  # later changes of the error must not show, as they would not in bytes
            reply.details = dict(reply.details)
        return reply


class House:
    """A server: its sessions, its clock and its connections.

    Args:
        clock: Its time, and that of the event loop.
        capacity: As of ``SessionEngine``.
        base: Its class of environments, if it has a diary; else a ``Room`` of its own is served.
        attributes: Of that ``Room``.
    """

    def __init__(
        self,
        clock: Clock,
        capacity: int | None = 1,
        *,
        lease_s: float = 900.0,
        idle_timeout_s: float | None = None,
        base: type[Room] | None = None,
        **attributes: Any,
    ) -> None:
        self.clock = clock
        self.cls = base or type("Room", (Room,), {"diary": Diary(), **attributes})
        self.diary = self.cls.diary
        spec = EnvironmentSpec.of(self.cls, Move, Seen, "room")
        self.engine = SessionEngine(spec, capacity, lease_s=lease_s, idle_timeout_s=idle_timeout_s, clock=clock)
        self.shared = SharedSession(self.engine)
        self.openings = Openings(self.engine, self.shared.give_way)
        self.wires: list[Wire] = []

    def connect(self, codec: Any = None) -> Wire:
        self.wires.append(Wire(self, codec or Plain()))
        return self.wires[-1]

    async def passes(self, seconds: float) -> None:
        """Let time pass, with a look for what is over once it has passed."""
        await settled()
        self.clock.now += seconds
        await settled()
        self.engine.reap()
        await settled()

    async def end(self) -> None:
        """Stop it; nothing may be left."""
        self.diary.open.set()
        for wire in self.wires:
            await wire.cut()
        await self.engine.aclose()
        assert self.engine.active == self.engine.waiting == 0
        self.diary.check_closed_once()


class Wire:
    """One connection.

    Attributes:
        heard: Everything that came on it, replies and notices, in order.
    """

    def __init__(self, house: House, codec: Any) -> None:
        self.house = house
        self.heard: list[Any] = []
        self.peer = Peer(house.engine, house.openings, house.shared, codec, self._hear)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def _hear(self, frame: Any) -> None:
        self.heard.append(frame)

    def notices(self, kind: type[Any]) -> list[Any]:
        return [one for one in self.heard if isinstance(one, kind)]

    def begin(self, request: Request) -> asyncio.Task[Any]:
        """Ask and do not wait."""

        async def answered() -> Any:
            reply = await self.peer.answer(request)
            self.heard.append(reply)
            return reply

        task = asyncio.create_task(answered())
        self._tasks.add(task)
        return task

    async def ask(self, request: Request) -> Any:
        return await self.begin(request)

    async def open(self, nonce: str = "the first") -> Opened:
        reply = await self.ask(Open(nonce=nonce))
        assert isinstance(reply, Opened), reply
        return reply

    async def resume(self, opened: Opened) -> Resumed:
        reply = await self.ask(Resume(session=opened.session, token=opened.token))
        assert isinstance(reply, Resumed), reply
        return reply

    async def reset(self, opened: Opened) -> Any:
        """The first request of a session."""
        return await self.ask(Reset(session=opened.session, id=1))

    async def cut(self) -> None:
        """End the connection as the WebSocket endpoint does; what runs, goes on."""
        await self.peer.leave()
        await settled()

    def session(self, opened: Opened) -> Session:
        return self.house.engine.sessions.get(opened.session)


def step(opened: Opened, number: int, how: str = "ok", ack: int | None = None) -> Step:
    """A step under that number, of a client that has had all replies before it."""
    action = msgspec.Raw(msgspec.json.encode({"how": how}))
    return Step(session=opened.session, id=number, ack=number - 1 if ack is None else ack, action=action)


def still(test: Callable[[Clock], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test on its own time, of environments that live in the event loop."""

    def run() -> None:
        run_still(test)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def run_still(main: Callable[[Clock], Awaitable[None]]) -> None:
    clock = Clock()

    async def on_its_own() -> None:
        await main(clock)

    with (
        patch.object(SpeedRecord, "placement", property(lambda _: Placement.INLINE)),
        asyncio.Runner(loop_factory=lambda: StillLoop(clock)) as runner,
    ):
        runner.run(on_its_own())
