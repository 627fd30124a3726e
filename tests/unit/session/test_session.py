"""One session: what it refuses, what it survives, what it reports, on every kind of placement."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import BaseModel
from tests.unit.session.worlds import (
    AsyncWorld,
    Ledger,
    World,
    engine_of,
    open_inline,
    step_of,
    threads_left,
    world,
)

from openenv.errors import (
    ActionInvalid,
    EpisodeDone,
    ExecutionFailed,
    FactoryFailed,
    ObservationInvalid,
    OpenEnvError,
    ResetNeeded,
    RewardInvalid,
    SessionClosed,
)
from openenv.protocol import Reset
from openenv.session import Placement, Session
from openenv.types import State

OpenOne = Callable[..., Awaitable[tuple[Session, Ledger]]]


@pytest.fixture(params=["thread", "inline", "async thread", "async inline"])
async def open_one(request: pytest.FixtureRequest) -> AsyncIterator[OpenOne]:
    """Opens a session of a class of its own in one placement; afterwards nothing of it may be left."""
    engines, ledgers = [], []

    async def opened(**attributes: object) -> tuple[Session, Ledger]:
        cls = world(AsyncWorld if "async" in request.param else World, **attributes)
        engine = engine_of(cls)
        engines.append(engine)
        ledgers.append(cls.ledger)
        session = await (open_inline(engine) if "inline" in request.param else engine.open())
        assert session.placement is (Placement.INLINE if "inline" in request.param else Placement.THREAD)
        return session, cls.ledger

    yield opened
    for engine, ledger in zip(engines, ledgers, strict=True):
        await engine.aclose()
        assert engine.active == 0
        ledger.check_closed_once()
    assert not threads_left()


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        ("raise", ExecutionFailed, "RuntimeError: boom"),
        ("exit", ExecutionFailed, "SystemExit: 3"),
        ("interrupt", ExecutionFailed, "KeyboardInterrupt"),
        ("cancelled", ExecutionFailed, "CancelledError"),
        ("stop", ExecutionFailed, "StopIteration"),
        ("nested", ExecutionFailed, "EpisodeLost: the episode of an inner client"),
        ("none", ObservationInvalid, "returned None"),
        ("wrong", ObservationInvalid, "returned a dict"),
        ("nan", RewardInvalid, "nan"),
        ("huge", RewardInvalid, "an integer of 1329 bits"),
        ("huge_beyond_text", RewardInvalid, "an integer of 16610 bits"),
    ],
)
async def test_a_failing_environment_is_an_error_and_the_session_goes_on(
    open_one: OpenOne, how: str, error: type[OpenEnvError], says: str
) -> None:
    session, _ = await open_one()
    with pytest.raises(error, match=says):
        await session.reset(Reset(options={"how": how}))
    await session.reset(Reset())
    with pytest.raises(error, match=says):
        await session.step(step_of(how))
    assert (await session.step(step_of())).observation.value == 2
    assert (await session.state()).state.step_count == 2


async def test_a_failed_reset_leaves_no_episode(open_one: OpenOne) -> None:
    session, _ = await open_one()
    await session.reset(Reset())
    with pytest.raises(ExecutionFailed):
        await session.reset(Reset(options={"how": "raise"}))
    with pytest.raises(ResetNeeded):
        await session.step(step_of())


async def test_a_step_whose_answer_is_bad_has_counted(open_one: OpenOne) -> None:
    session, _ = await open_one()
    await session.reset(Reset())
    with pytest.raises(RewardInvalid) as caught:
        await session.step(step_of("nan"))
    assert caught.value.details == {"reward": None, "done": False, "observation": {"value": 1}}
    with pytest.raises(RewardInvalid) as caught:
        await session.step(step_of("nan_done"))
    assert caught.value.details["done"] is True
    with pytest.raises(EpisodeDone):
        await session.step(step_of())


async def test_a_step_needs_a_running_episode(open_one: OpenOne) -> None:
    session, ledger = await open_one()
    before = ledger.count("step")
    assert (await session.state()).state.step_count == 0
    with pytest.raises(ResetNeeded):
        await session.step(step_of())
    await session.reset(Reset())
    assert (await session.step(step_of("done"))).terminated
    with pytest.raises(EpisodeDone):
        await session.step(step_of())
    assert ledger.count("step") == before + 1


@pytest.mark.parametrize(
    ("how", "n", "loc", "says"),
    [
        ("ok", 101, ["n"], "n is at most 100"),
        ("ok", 77, [], "validators may raise anything"),
        ("ok", 78, [], "SystemExit: 3"),
        ("ok", 79, [], "KeyboardInterrupt"),
        ("ok", 80, [], "CancelledError"),
        ("ok", 66, [], "66 needs another how"),
        ("ok", "many", ["n"], "integer"),
    ],
)
async def test_an_invalid_action_does_not_move_the_environment(
    open_one: OpenOne, how: str, n: int, loc: list[str], says: str
) -> None:
    session, ledger = await open_one()
    await session.reset(Reset())
    before = ledger.count("step")
    with pytest.raises(ActionInvalid, match=says) as caught:
        await session.step(step_of(how, n))
    assert caught.value.details["errors"][0]["loc"] == loc
    assert ledger.count("step") == before
    assert (await session.step(step_of())).observation.value == 1


async def test_an_environment_may_call_asyncio_run(open_one: OpenOne) -> None:
    session, _ = await open_one()
    await session.reset(Reset())
    if session.plan.is_async:  # Python itself refuses
        with pytest.raises(ExecutionFailed, match="cannot be called from a running event loop"):
            await session.step(step_of("run"))
    else:
        assert (await session.step(step_of("run"))).observation.value == 42


async def test_everything_happens_on_one_thread(open_one: OpenOne) -> None:
    session, ledger = await open_one()
    await session.reset(Reset())
    await session.step(step_of())
    await session.state()
    await session.close()
    threads = ledger.threads(ledger.count("made"))
    assert len(threads) == 1
    inline = session.placement is Placement.INLINE
    assert (threads == {threading.get_ident()}) is inline


async def test_a_strict_reset_always_has_a_seed_and_a_name(open_one: OpenOne) -> None:
    session, ledger = await open_one()
    reply = await session.reset(Reset())
    got = ledger.seen[-1]
    assert isinstance(reply.seed, int)
    assert reply.episode_id
    assert (got["seed"], got["episode_id"]) == (reply.seed, reply.episode_id)
    again = await session.reset(Reset(seed=7, episode_id="mine"))
    assert (again.seed, again.episode_id) == (7, "mine")
    assert ledger.seen[-1] == {"seed": 7, "episode_id": "mine", "how": "ok"}


async def test_a_strict_class_refuses_options_it_does_not_take(open_one: OpenOne) -> None:
    session, ledger = await open_one()
    resets = ledger.count("reset")
    with pytest.raises(ActionInvalid, match="does not take colour; it takes: episode_id, how, seed"):
        await session.reset(Reset(options={"colour": "red"}))
    assert ledger.count("reset") == resets
    await session.reset(Reset())
    with pytest.raises(ActionInvalid, match="does not take colour; it takes: bonus"):
        await session.step(step_of(options={"colour": "red"}))
    assert (await session.step(step_of(options={"bonus": 10}))).observation.value == 11


async def test_a_lenient_class_takes_what_comes(open_one: OpenOne) -> None:
    session, ledger = await open_one(lifecycle="lenient")
    assert (await session.step(step_of(options={"colour": "red"}))).observation.value >= 1
    reply = await session.reset(Reset(options={"colour": "red"}))
    assert reply.seed is reply.episode_id is None
    assert ledger.seen[-1] == {"seed": None, "episode_id": None, "how": "ok"}
    assert (await session.step(step_of("done"))).done
    assert (await session.step(step_of())).observation.value == 2


async def test_closing_twice_at_once_closes_once(open_one: OpenOne) -> None:
    session, ledger = await open_one()
    closes = ledger.count("close")
    await asyncio.gather(*(session.close() for _ in range(5)))
    assert ledger.count("close") == closes + 1
    for request in (session.reset(Reset()), session.step(step_of()), session.state()):
        with pytest.raises(SessionClosed):
            await request


@pytest.mark.parametrize("base", [World, AsyncWorld])
@pytest.mark.parametrize(
    ("how", "says"),
    [("raise", "RuntimeError: boom"), ("exit", "SystemExit: 3"), ("interrupt", "Keyboard"), ("cancelled", "Cancelled")],
)
async def test_an_environment_that_cannot_be_built_leaves_nothing(base: type[World], how: str, says: str) -> None:
    cls = world(base, on_make=how)
    engine = engine_of(cls)
    for _ in range(3):
        with pytest.raises(FactoryFailed, match=says):
            await engine.open()
    assert engine.active == 0
    assert not threads_left()


@pytest.mark.parametrize("base", [World, AsyncWorld])
@pytest.mark.parametrize(
    ("how", "says"),
    [("raise", "RuntimeError: boom"), ("exit", "SystemExit: 3"), ("interrupt", "Keyboard"), ("cancelled", "Cancelled")],
)
async def test_a_close_that_fails_is_told_and_frees_the_place(base: type[World], how: str, says: str) -> None:
    cls = world(base, on_close=how)
    engine = engine_of(cls)
    session = await engine.open()
    with pytest.raises(ExecutionFailed, match=says):
        await session.close()
    assert engine.active == 0
    cls.ledger.check_closed_once()
    assert not threads_left()


class Stateless(World):
    """Whose state is something else."""

    is_now: Any = None

    @property
    def state(self) -> State:
        return self.is_now  # type: ignore[no-any-return]


class Forgetful(World):
    """Whose author left out ``@property``."""

    def state(self) -> State:  # type: ignore[override]
        return State()


class Awaited(World):
    """Whose state has to be awaited, which nobody does."""

    @property
    async def state(self) -> State:  # type: ignore[override]
        return State()


@pytest.mark.parametrize("is_now", [None, 5, "here", [1], State, object()], ids=lambda is_now: type(is_now).__name__)
async def test_a_state_that_is_none_is_refused_with_advice(is_now: Any) -> None:
    engine = engine_of(world(Stateless, is_now=is_now))
    session = await engine.open()
    with pytest.raises(ExecutionFailed, match=r"Stateless\.state is .*; return an instance of State"):
        await session.state()
    assert (await session.reset(Reset())).observation.value == 0
    await engine.aclose()


@pytest.mark.parametrize(("base", "says"), [(Forgetful, "@property"), (Awaited, "async")])
async def test_a_state_that_is_no_plain_property_is_refused_with_advice(base: type[World], says: str) -> None:
    engine = engine_of(world(base))
    session = await engine.open()
    with pytest.raises(ExecutionFailed, match=says):
        await session.state()
    await engine.aclose()


class Row(BaseModel):
    row: int


@pytest.mark.parametrize("is_now", [State(step_count=3), Row(row=1), {"row": 1}, MappingProxyType({"row": 1})])
async def test_a_state_may_be_any_model_or_mapping(is_now: Any) -> None:
    engine = engine_of(world(Stateless, is_now=is_now))
    assert (await (await engine.open()).state()).state is is_now
    await engine.aclose()
