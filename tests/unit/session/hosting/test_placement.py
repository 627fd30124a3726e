"""Where sessions run: proof, promotion of the next session, demotion, and classes that are never promoted."""

from __future__ import annotations

import asyncio
import threading
from time import thread_time

import pytest
from tests.unit.session.worlds import (
    AsyncWorld,
    Move,
    Seen,
    World,
    engine_of,
    factory_of,
    open_inline,
    step_of,
    threads_left,
    world,
)

from openenv.errors import ActionInvalid
from openenv.protocol import Reset
from openenv.session import Placement
from openenv.session.hosting.placement import (
    CLOSE,
    CREATE,
    CROWD,
    PROOF_STEPS,
    RESET,
    SLOW_INLINE_S,
    SLOW_WALL_S,
    STATE,
    STEP,
    WATCHED_CALLS,
    Kind,
    SpeedRecord,
    ThreadUse,
)


def steps(record: SpeedRecord, times: int, wall_s: float = 0.0) -> None:
    for _ in range(times):
        record.record_threaded(STEP, wall_s, 0.0)


def proven() -> SpeedRecord:
    record = SpeedRecord()
    record.record_threaded(CREATE, 0.0, 0.0)
    record.record_threaded(RESET, 0.0, 0.0)
    steps(record, PROOF_STEPS)
    assert record.placement is Placement.INLINE
    return record


def test_the_proof_is_as_long_as_promised() -> None:
    assert PROOF_STEPS >= 200


@pytest.mark.parametrize("missing", [CREATE, RESET, STEP])
def test_the_proof_needs_steps_and_a_creation_and_a_reset(missing: Kind) -> None:
    record = SpeedRecord()
    for kind in (CREATE, RESET):
        if kind is not missing:
            record.record_threaded(kind, 0.0, 0.0)
    steps(record, PROOF_STEPS - 1 if missing is STEP else PROOF_STEPS * 2)
    assert record.placement is Placement.THREAD
    record.record_threaded(missing, 0.0, 0.0)
    assert record.placement is Placement.INLINE


@pytest.mark.parametrize("kind", [CREATE, RESET, STEP, STATE, CLOSE])
@pytest.mark.parametrize("late", [False, True])
def test_one_call_that_takes_too_much_processor_time_starts_anew(kind: Kind, late: bool) -> None:
    record = proven() if late else SpeedRecord()
    record.record_threaded(kind, 0.0, kind.limit_s * 1.01)
    assert record.placement is Placement.THREAD
    record.record_threaded(CREATE, 0.0, 0.0)
    record.record_threaded(RESET, 0.0, 0.0)
    steps(record, PROOF_STEPS - 1)
    assert record.placement is Placement.THREAD
    steps(record, 1)
    assert record.placement is Placement.INLINE


def test_an_environment_that_waits_is_not_trusted_but_a_busy_machine_is_forgiven() -> None:
    for waiting, expected in ((3, Placement.INLINE), (30, Placement.THREAD)):
        record = SpeedRecord()
        record.record_threaded(CREATE, 0.0, 0.0)
        record.record_threaded(RESET, 0.0, 0.0)
        steps(record, waiting, SLOW_WALL_S * 1.01)
        steps(record, PROOF_STEPS - waiting)
        assert record.placement is expected


def test_where_the_system_does_not_tell_of_a_thread_nothing_counts_as_preempted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ThreadUse().was_preempted(10.0)  # it used next to no time, and waited for nothing
    monkeypatch.setattr("openenv.session.hosting.placement._THIS_THREAD", None)
    assert not ThreadUse().was_preempted(10.0)


def test_a_slow_step_does_not_ask_for_another_creation() -> None:
    record = SpeedRecord()
    record.record_threaded(CREATE, 0.0, 0.0)
    record.record_threaded(STEP, 0.0, STEP.limit_s * 1.01)  # such as a collection of garbage in its thread
    record.record_threaded(RESET, 0.0, 0.0)
    steps(record, PROOF_STEPS)
    assert record.placement is Placement.INLINE
    record.record_threaded(CREATE, 0.0, CREATE.limit_s * 1.01)
    record.record_threaded(RESET, 0.0, 0.0)
    steps(record, PROOF_STEPS)
    assert record.placement is Placement.THREAD


def test_in_a_crowd_waiting_does_not_count() -> None:
    for crowd, expected in ((CROWD, Placement.THREAD), (CROWD + 1, Placement.INLINE)):
        record = SpeedRecord()
        record.record_threaded(CREATE, 0.0, 0.0)
        record.record_threaded(RESET, 0.0, 0.0)
        for _ in range(crowd - 1):
            record.begin_threaded()
        for _ in range(PROOF_STEPS):
            record.record_threaded(STEP, SLOW_WALL_S * 2, 0.0, record.begin_threaded())
        assert record.placement is expected


def test_a_second_slow_inline_call_demotes() -> None:
    for between, expected in ((WATCHED_CALLS - 2, Placement.THREAD), (WATCHED_CALLS - 1, Placement.INLINE)):
        record = proven()
        record.record_inline(SLOW_INLINE_S * 1.01)
        assert record.placement is Placement.INLINE  # its thread may have had to wait for a processor
        for _ in range(between):
            record.record_inline(SLOW_INLINE_S)
        record.record_inline(SLOW_INLINE_S * 1.01, preempted=True)
        assert record.placement is Placement.INLINE
        record.record_inline(SLOW_INLINE_S * 1.01)
        assert record.placement is expected


def test_what_is_forbidden_stays_forbidden() -> None:
    record = proven()
    record.forbid_inline()
    assert record.placement is Placement.THREAD


@pytest.mark.parametrize("base", [World, AsyncWorld])
@pytest.mark.parametrize("as_factory", [False, True])
async def test_the_next_session_of_a_fast_class_is_inline_and_the_live_one_stays(
    base: type[World], as_factory: bool
) -> None:
    cls = world(base)
    engine = engine_of(factory_of(cls) if as_factory else cls)
    live = await engine.open()
    number = cls.ledger.count("made")
    await live.reset(Reset())
    for _ in range(10):  # a busy machine may spoil a proof
        later = await open_inline(engine)
        for _ in range(PROOF_STEPS):
            await live.step(step_of())
        if later.placement is Placement.INLINE:
            break
    await later.reset(Reset())
    await live.close()
    assert live.placement is Placement.THREAD
    assert len(cls.ledger.threads(number)) == 1
    assert cls.ledger.threads(number) != {threading.get_ident()}
    assert cls.ledger.threads(cls.ledger.count("made")) == {threading.get_ident()}
    await engine.aclose()
    assert not threads_left()


@pytest.mark.parametrize(("deterministic", "moves"), [(True, True), (False, False)])
async def test_what_is_deterministic_moves_with_a_reset_once_the_class_has_proven_fast(
    deterministic: bool, moves: bool
) -> None:
    cls = world(World, deterministic=deterministic)
    engine = engine_of(cls)
    early = await engine.open()
    await early.reset(Reset())
    await open_inline(engine)
    assert early.placement is Placement.THREAD  # in the middle of its episode
    with pytest.raises(ActionInvalid):
        await early.reset(Reset(options={"no": 1}))
    assert early.placement is Placement.THREAD
    await early.step(step_of())
    await early.reset(Reset())
    assert early.placement is (Placement.INLINE if moves else Placement.THREAD)
    await early.step(step_of())
    await engine.aclose()
    cls.ledger.check_closed_once()
    assert not threads_left()


async def test_a_slow_inline_session_stays_and_the_next_one_gets_a_thread() -> None:
    class Dozing(World):
        def step(self, action: Move) -> Seen:
            until = thread_time() + (SLOW_INLINE_S * 1.5 if action.n else 0)
            while thread_time() < until:
                pass
            return super().step(action)

    cls = world(Dozing)
    engine = engine_of(cls)
    session = await open_inline(engine)
    number = cls.ledger.count("made")
    await session.reset(Reset())
    await session.step(step_of(n=1))
    assert (await engine.open()).placement is Placement.INLINE
    await session.step(step_of(n=1))
    demoted = await engine.open()
    assert demoted.placement is Placement.THREAD
    await session.step(step_of())
    assert session.placement is Placement.INLINE
    assert cls.ledger.threads(number) == {threading.get_ident()}
    await engine.aclose()


@pytest.mark.parametrize("base", [World, AsyncWorld])
@pytest.mark.parametrize("as_factory", [False, True])
async def test_a_class_may_insist_on_threads(base: type[World], as_factory: bool) -> None:
    cls = world(base, REQUIRES_SINGLE_THREAD_EXECUTOR=True)
    engine = engine_of(factory_of(cls) if as_factory else cls)
    for _ in range(3):
        session = await engine.open()
        assert session.placement is Placement.THREAD
        await session.reset(Reset())
        for _ in range(PROOF_STEPS + 1):
            await session.step(step_of())
        await session.close()
    assert threading.get_ident() not in {thread for _, _, thread in cls.ledger.entries}


async def test_an_asynchronous_class_with_tasks_of_its_own_keeps_its_own_loop() -> None:
    class Busy(AsyncWorld):
        async def reset_async(self, seed: int | None = None) -> Seen:
            await asyncio.gather(asyncio.sleep(0))
            return await super().reset_async()

    engine = engine_of(world(Busy))
    for _ in range(3):
        session = await engine.open()
        assert session.placement is Placement.THREAD
        await session.reset(Reset())
        for _ in range(PROOF_STEPS + 1):
            await session.step(step_of())
        await session.close()
