"""Places that come back: to whom they go when someone leaves at that moment, and who waits for one in sight."""

from __future__ import annotations

import asyncio
import re

import pytest
from tests.unit.session.still import Clock, House, settled, still

from openenv.protocol import Close, Open, Opened
from openenv.session import Ending
from openenv.session.lifetime.places import all_taken


@still
async def test_who_is_cancelled_when_the_place_comes_gives_it_on(clock: Clock) -> None:
    house = House(clock)
    held = await house.engine.open()
    first, second = (asyncio.create_task(house.engine.open(queue_timeout_s=600)) for _ in range(2))
    await settled()
    asyncio.get_running_loop().call_soon(first.cancel)
    held.when_closed(lambda _: first.cancel())  # the place was granted a moment ago
    await held.close()
    await settled()
    assert first.cancelled()
    assert second.done()
    assert house.engine.active == 1
    await house.end()


@pytest.mark.parametrize("when", range(12))
def test_a_place_is_never_lost_to_who_is_cancelled(when: int) -> None:
    @still
    async def at_any_moment(clock: Clock) -> None:
        house = House(clock)
        held = await house.engine.open()
        first, second = (asyncio.create_task(house.engine.open(queue_timeout_s=600)) for _ in range(2))
        await settled()
        house.engine.endings.end_soon(held, Ending.CLOSED)
        for _ in range(when):
            await asyncio.sleep(0)
        first.cancel()
        await settled()
        if not first.cancelled():  # it was there already
            await first.result().close()
            await settled()
        assert second.done()
        assert house.engine.active == 1
        await house.end()

    at_any_moment()


@pytest.mark.parametrize("when", range(12))
def test_a_place_is_never_lost_to_who_runs_out_of_patience(when: int) -> None:
    @still
    async def at_any_moment(clock: Clock) -> None:
        house = House(clock)
        held = await house.engine.open()
        first = asyncio.create_task(house.engine.open(queue_timeout_s=5))
        second = asyncio.create_task(house.engine.open(queue_timeout_s=600))
        await settled()
        house.engine.endings.end_soon(held, Ending.CLOSED)
        for _ in range(when):
            await asyncio.sleep(0)
        clock.now += 5
        await settled()
        assert first.done()
        if first.exception() is None:
            await first.result().close()
            await settled()
        assert second.done()
        assert house.engine.active == 1
        await house.end()

    at_any_moment()


# The place of a session that is ending -----------------------------------------------------------


@still
async def test_an_open_waits_for_a_place_that_is_being_given_back(clock: Clock) -> None:
    house = House(clock, on_close="wait")
    wire, other, third = (house.connect() for _ in range(3))
    opened = await wire.open()
    wire.begin(Close(session=opened.session, id=1))
    await settled()
    opening = other.begin(Open(nonce="b"))
    await settled()
    assert (await third.ask(Open(nonce="c"))).code == "CAPACITY_REACHED"  # that place is spoken for
    assert not opening.done()
    house.diary.open.set()
    assert isinstance(await opening, Opened)
    await house.end()
    assert house.diary.most_alive() == 1


@still
async def test_that_wait_is_bounded(clock: Clock) -> None:
    house = House(clock, on_close="wait")
    wire, other = house.connect(), house.connect()
    opened = await wire.open()
    wire.begin(Close(session=opened.session, id=1))
    await settled()
    opening = other.begin(Open(nonce="b"))
    await house.passes(4.9)
    assert not opening.done()
    await house.passes(0.2)
    assert (await opening).code == "CAPACITY_REACHED"
    await house.end()


@still
async def test_old_connections_are_refused_at_once_and_told_no_more_than_they_know(clock: Clock) -> None:
    house = House(clock, on_close="wait")
    wire, old = house.connect(), house.connect()
    opened = await wire.open()
    for _ in range(2):
        refused = asyncio.create_task(old.peer.open_only())
        await settled()
        assert refused.done()
        assert refused.result().code == "CAPACITY_REACHED"  # type: ignore[union-attr]
        assert refused.result().details == {"active_sessions": 1, "max_sessions": 1}  # type: ignore[union-attr]
        wire.begin(Close(session=opened.session, id=1))  # and the same while that place is being given back
        await settled()
    await house.end()


@pytest.mark.parametrize(
    ("capacity", "says"),
    [(1, "the only place is taken; .*SUPPORTS_CONCURRENT_SESSIONS"), (2, "all 2 places are taken; .*--max-sessions")],
)
def test_who_gets_none_is_told_what_mends_it(capacity: int, says: str) -> None:
    assert re.search(f"CAPACITY_REACHED: {says}", all_taken(capacity, capacity, 1.0).message)
