"""The one session of requests that name none: who shares it, when it gives way, where it is alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.session.worlds import World, engine_of, factory_of, step_of, threads_left, world

from openenv.errors import CapacityReached, EpisodeLost, FactoryFailed, ResetNeeded
from openenv.protocol import Reset
from openenv.session import Session, SharedSession


def alone(**attributes: Any) -> type[World]:
    """A class of which there may be one instance."""
    return world(SUPPORTS_CONCURRENT_SESSIONS=False, **attributes)


async def waits(cls: type[World], what: str = "waiting", times: int = 1) -> None:
    await asyncio.to_thread(cls.ledger.wait, what, times)


async def test_all_share_one_session_that_takes_no_place() -> None:
    cls = world()
    engine = engine_of(cls, 1)
    shared = SharedSession(engine)
    counted = await engine.open()
    sessions = await asyncio.gather(*(shared.for_reset() for _ in range(5)))
    assert len({session.id for session in sessions}) == 1
    assert engine.active == 1
    assert cls.ledger.count("made") == 2
    assert await shared.for_step() is shared.now() is sessions[0]
    await counted.close()
    assert engine.active == 0
    await engine.aclose()
    cls.ledger.check_closed_once()
    assert not threads_left()


async def test_a_step_needs_a_reset_unless_the_class_is_lenient() -> None:
    with pytest.raises(ResetNeeded, match="POST /reset first"):
        await SharedSession(engine_of(world())).for_step()
    for as_factory in (False, True):
        cls = world(lifecycle="lenient")
        engine = engine_of(factory_of(cls) if as_factory else cls)
        shared = SharedSession(engine)
        session = await shared.for_step()
        assert (await session.step(step_of())).observation.value == 1
        assert shared.now() is session
        await engine.aclose()
        cls.ledger.check_closed_once()


async def test_a_strict_factory_is_known_to_be_strict() -> None:
    cls = world()
    with pytest.raises(ResetNeeded):
        await SharedSession(engine_of(factory_of(cls))).for_step()
    cls.ledger.check_closed_once()


async def test_the_shared_session_gives_way_and_says_so() -> None:
    cls = alone()
    engine = engine_of(cls)
    shared = SharedSession(engine)
    await (await shared.for_reset()).reset(Reset())
    private = await engine.open(make_room=shared.give_way)
    with pytest.raises(EpisodeLost) as caught:
        await shared.for_step()
    assert caught.value.details == {"reason": "gave_way"}
    assert caught.value.http_status == 410
    with pytest.raises(EpisodeLost):
        shared.now()
    with pytest.raises(CapacityReached):
        await shared.for_reset()
    await private.close()
    assert (await (await shared.for_reset()).reset(Reset())).observation.value == 0
    await shared.for_step()
    await engine.aclose()
    assert cls.ledger.most_alive() == 1
    cls.ledger.check_closed_once()


async def test_the_shared_session_of_a_concurrent_class_stays() -> None:
    engine = engine_of(world())
    shared = SharedSession(engine)
    session = await shared.for_reset()
    await engine.open(make_room=shared.give_way)
    assert await shared.for_step() is session
    await engine.aclose()


async def test_the_shared_session_does_not_give_way_while_it_works() -> None:
    cls = alone()
    engine = engine_of(cls)
    shared = SharedSession(engine)
    session = await shared.for_reset()
    await session.reset(Reset())
    step = asyncio.create_task(session.step(step_of("wait")))
    await waits(cls)
    with pytest.raises(CapacityReached):
        await engine.open(make_room=shared.give_way)
    cls.ledger.gate.set()
    await step
    assert engine.active == 0
    await engine.open(make_room=shared.give_way)
    await engine.aclose()
    assert cls.ledger.most_alive() == 1


@pytest.mark.parametrize("as_factory", [False, True])
@pytest.mark.parametrize("checked", [False, True])
async def test_there_is_never_a_second_instance_however_they_race(as_factory: bool, checked: bool) -> None:
    cls = alone()
    engine = engine_of(factory_of(cls) if as_factory else cls)
    shared = SharedSession(engine)

    async def resets() -> Session:
        session = await shared.for_reset()
        await session.reset(Reset())
        return session

    async def opens() -> Session:
        session = await engine.open(make_room=shared.give_way)
        await session.reset(Reset())
        await session.close()
        return session

    async def private() -> Session:
        return await engine.open(make_room=shared.give_way)

    for _ in range(5):
        tasks = [asyncio.create_task(act()) for act in (resets, opens, resets, opens, private)]
        if checked:
            tasks.insert(0, asyncio.create_task(engine.check()))  # type: ignore[arg-type]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        odd = [one for one in results if isinstance(one, Exception) and not isinstance(one, CapacityReached)]
        assert odd == []
        for one in results:
            if isinstance(one, Session) and one is not shared.now():
                await one.close()
    await engine.aclose()
    assert cls.ledger.most_alive() == 1
    cls.ledger.check_closed_once()
    assert not threads_left()


async def test_a_shared_session_that_cannot_be_built_is_tried_again() -> None:
    cls = world(on_make="raise")
    engine = engine_of(cls)
    shared = SharedSession(engine)
    with pytest.raises(FactoryFailed):
        await shared.for_reset()
    cls.on_make = "ok"
    await shared.for_reset()
    await engine.aclose()
