"""Sessions without a connection: the shared one, private ones and their leases, on a clock of the test's own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.session.worlds import World, engine_of, factory_of, step_of, threads_left, world

from openenv.errors import CapacityReached, EpisodeLost, FactoryFailed, ResetNeeded, SessionClosed, SessionNotFound
from openenv.protocol import Reset
from openenv.session import DetachedSessions, Session


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def alone(**attributes: Any) -> type[World]:
    """A class of which there may be one instance."""
    return world(SUPPORTS_CONCURRENT_SESSIONS=False, **attributes)


async def waits(cls: type[World], what: str = "waiting", times: int = 1) -> None:
    await asyncio.to_thread(cls.ledger.wait, what, times)


async def test_all_share_one_session_that_takes_no_place() -> None:
    cls = world()
    engine = engine_of(cls, 1)
    detached = DetachedSessions(engine)
    counted = await engine.open()
    sessions = await asyncio.gather(*(detached.for_reset() for _ in range(5)))
    assert len({session.id for session in sessions}) == 1
    assert engine.active == 1
    assert cls.ledger.count("made") == 2
    assert await detached.for_step() is detached.shared() is sessions[0]
    await engine.close(counted)
    assert engine.active == 0
    await engine.aclose()
    cls.ledger.check_closed_once()
    assert not threads_left()


async def test_a_step_needs_a_reset_unless_the_class_is_lenient() -> None:
    with pytest.raises(ResetNeeded, match="POST /reset first"):
        await DetachedSessions(engine_of(world())).for_step()
    for as_factory in (False, True):
        cls = world(lifecycle="lenient")
        engine = engine_of(factory_of(cls) if as_factory else cls)
        detached = DetachedSessions(engine)
        session = await detached.for_step()
        assert (await session.step(step_of())).observation.value == 1
        assert detached.shared() is session
        await engine.aclose()
        cls.ledger.check_closed_once()


async def test_a_strict_factory_is_known_to_be_strict() -> None:
    cls = world()
    with pytest.raises(ResetNeeded):
        await DetachedSessions(engine_of(factory_of(cls))).for_step()
    cls.ledger.check_closed_once()


async def test_the_shared_session_gives_way_and_says_so() -> None:
    cls = alone()
    engine = engine_of(cls)
    detached = DetachedSessions(engine)
    await (await detached.for_reset()).reset(Reset())
    private = await detached.open()
    with pytest.raises(EpisodeLost) as caught:
        await detached.for_step()
    assert caught.value.details == {"reason": "gave_way"}
    assert caught.value.http_status == 410
    with pytest.raises(EpisodeLost):
        detached.shared()
    with pytest.raises(CapacityReached):
        await detached.for_reset()
    await detached.close(private)
    assert (await (await detached.for_reset()).reset(Reset())).observation.value == 0
    await detached.for_step()
    await engine.aclose()
    assert cls.ledger.most_alive() == 1
    cls.ledger.check_closed_once()


async def test_the_shared_session_of_a_concurrent_class_stays() -> None:
    engine = engine_of(world())
    detached = DetachedSessions(engine)
    shared = await detached.for_reset()
    await detached.open()
    assert await detached.for_step() is shared
    await engine.aclose()


async def test_the_shared_session_does_not_give_way_while_it_works() -> None:
    cls = alone()
    engine = engine_of(cls)
    detached = DetachedSessions(engine)
    shared = await detached.for_reset()
    await shared.reset(Reset())
    step = asyncio.create_task(shared.step(step_of("wait")))
    await waits(cls)
    with pytest.raises(CapacityReached):
        await detached.open()
    cls.ledger.gate.set()
    await step
    assert engine.active == 0
    await detached.open()
    await engine.aclose()
    assert cls.ledger.most_alive() == 1


@pytest.mark.parametrize("as_factory", [False, True])
@pytest.mark.parametrize("checked", [False, True])
async def test_there_is_never_a_second_instance_however_they_race(as_factory: bool, checked: bool) -> None:
    cls = alone()
    engine = engine_of(factory_of(cls) if as_factory else cls)
    detached = DetachedSessions(engine)

    async def resets() -> Session:
        session = await detached.for_reset()
        await session.reset(Reset())
        return session

    async def opens() -> Session:
        session = await engine.open(make_room=detached.give_way)
        await session.reset(Reset())
        await engine.close(session)
        return session

    for _ in range(5):
        tasks = [asyncio.create_task(act()) for act in (resets, opens, resets, opens, detached.open)]
        if checked:
            tasks.insert(0, asyncio.create_task(engine.check()))  # type: ignore[arg-type]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        odd = [one for one in results if isinstance(one, Exception) and not isinstance(one, CapacityReached)]
        assert odd == []
        for one in results:
            if isinstance(one, Session) and one is not detached.shared():
                await detached.close(one)
    await engine.aclose()
    assert cls.ledger.most_alive() == 1
    cls.ledger.check_closed_once()
    assert not threads_left()


async def test_a_shared_session_that_cannot_be_built_is_tried_again() -> None:
    cls = world(on_make="raise")
    engine = engine_of(cls)
    detached = DetachedSessions(engine)
    with pytest.raises(FactoryFailed):
        await detached.for_reset()
    cls.on_make = "ok"
    await detached.for_reset()
    await engine.aclose()


# Leases ------------------------------------------------------------------------------------------


async def test_a_lease_runs_from_the_last_request() -> None:
    cls, clock = world(), Clock()
    engine = engine_of(cls, 2)
    detached = DetachedSessions(engine, lease_s=100, clock=clock)
    used, forgotten = await detached.open(), await detached.open()
    clock.now += 99
    assert detached.find(used.id) is used
    clock.now += 1
    await detached.reap()
    assert cls.ledger.count("close") == 1
    assert engine.active == 1
    with pytest.raises(SessionNotFound):
        detached.find(forgotten.id)
    assert detached.find(used.id) is used
    await engine.aclose()
    cls.ledger.check_closed_once()


async def test_a_session_is_not_reaped_while_a_request_runs_nor_right_after() -> None:
    cls, clock = world(), Clock()
    engine = engine_of(cls)
    detached = DetachedSessions(engine, lease_s=100, clock=clock)
    session = await detached.open()
    await session.reset(Reset())
    step = asyncio.create_task(detached.find(session.id).step(step_of("wait")))
    await waits(cls)
    clock.now += 1000
    await detached.reap()
    cls.ledger.gate.set()
    assert (await step).observation.value == 1
    clock.now += 99
    await detached.reap()
    assert detached.find(session.id) is session
    clock.now += 100
    await detached.reap()
    assert engine.active == 0
    cls.ledger.check_closed_once()


async def test_who_comes_back_while_others_are_reaped_keeps_the_session() -> None:
    cls, clock = world(on_close="wait"), Clock()
    engine = engine_of(cls)
    detached = DetachedSessions(engine, lease_s=100, clock=clock)
    first, second = await detached.open(), await detached.open()
    clock.now += 50
    detached.find(second.id)
    clock.now += 50
    reaping = asyncio.create_task(detached.reap())
    await waits(cls)
    assert detached.find(second.id) is second
    clock.now += 1000
    assert detached.find(second.id) is second  # came back in time for the next round
    cls.ledger.gate.set()
    await reaping
    await detached.reap()
    await second.reset(Reset())
    with pytest.raises(SessionClosed):
        await first.reset(Reset())
    await engine.aclose()


async def test_opening_reaps_what_is_over() -> None:
    cls, clock = world(), Clock()
    engine = engine_of(cls, 1)
    detached = DetachedSessions(engine, lease_s=100, clock=clock)
    await detached.open()
    with pytest.raises(CapacityReached):
        await detached.open()
    clock.now += 100
    await detached.open()
    await engine.aclose()
    cls.ledger.check_closed_once()


async def test_reaping_closes_once_what_is_being_closed_too() -> None:
    cls, clock = world(on_close="wait"), Clock()
    engine = engine_of(cls)
    detached = DetachedSessions(engine, lease_s=100, clock=clock)
    session = await detached.open()
    clock.now += 100
    closing = [asyncio.create_task(detached.reap()), asyncio.create_task(detached.close(session))]
    await waits(cls)
    cls.ledger.gate.set()
    await asyncio.gather(*closing)
    cls.ledger.check_closed_once()
    assert engine.active == 0
