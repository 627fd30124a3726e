"""Waiting for a place: order, positions, patience, and those who leave the queue or come back to it."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.unit.session.still import Clock, House, Wire, settled, step, still

from openenv.protocol import Close, Closed, Failed, Observed, Open, Opened, Queued
from openenv.session.lifetime.line import LONGEST_LINE, WaitingLine


def waits(wire: Wire, nonce: str, seconds: float = 600.0) -> asyncio.Task[Any]:
    return wire.begin(Open(nonce=nonce, queue_timeout_s=seconds))


def positions(wire: Wire) -> list[int]:
    return [queued.position for queued in wire.notices(Queued)]


async def free(house: House, wire: Wire, opened: Opened) -> None:
    """Close a session, and let whoever is next have its place."""
    assert isinstance(await wire.ask(Close(session=opened.session, id=1)), Closed)
    await settled()


@still
async def test_first_come_first_served_and_told_where_they_stand(clock: Clock) -> None:
    house = House(clock)
    holder = house.connect()
    opened = await holder.open()
    wires = [house.connect() for _ in range(3)]
    waiting = []
    for number, wire in enumerate(wires):
        waiting.append(waits(wire, f"w{number}"))
        await settled()
    assert house.engine.waiting == 3
    assert [positions(wire) for wire in wires] == [[1], [2], [3]]
    assert wires[0].notices(Queued)[0].nonce == "w0"
    for number, wire in enumerate(wires):
        await free(house, holder, opened)
        opened, holder = await waiting[number], wire
        assert isinstance(opened, Opened)
        assert [one.done() for one in waiting] == [True] * (number + 1) + [False] * (2 - number)
    assert [positions(wire) for wire in wires] == [[1], [2, 1], [3, 2, 1]]
    assert [type(wire.heard[-2]) for wire in wires[1:2]] == [Opened]  # after its notices, before its own close
    assert house.engine.waiting == 0
    await house.end()
    assert house.diary.most_alive() == 1


@still
async def test_who_does_not_want_to_wait_does_not_overtake(clock: Clock) -> None:
    house = House(clock)
    holder, patient, hasty = (house.connect() for _ in range(3))
    opened = await holder.open()
    first = waits(patient, "patient")
    await settled()
    refused = await hasty.ask(Open(nonce="hasty"))
    assert isinstance(refused, Failed)
    assert (refused.code, refused.session, refused.id, refused.retryable) == ("CAPACITY_REACHED", "", 0, True)
    assert set(refused.details) == {"active_sessions", "max_sessions", "retry_after_s", "nonce"}
    assert refused.details["nonce"] == "hasty"
    assert positions(hasty) == []
    await free(house, holder, opened)
    assert isinstance(await first, Opened)
    await house.end()


@still
async def test_patience_ends(clock: Clock) -> None:
    house = House(clock)
    holder, brief, patient = (house.connect() for _ in range(3))
    opened = await holder.open()
    short = waits(brief, "brief", 5)
    await settled()
    long = waits(patient, "patient")
    await settled()
    await house.passes(4.9)
    assert not short.done()
    await house.passes(0.2)
    assert (await short).code == "CAPACITY_REACHED"
    assert positions(patient) == [2, 1]
    await free(house, holder, opened)
    assert isinstance(await long, Opened)
    assert isinstance(await waits(brief, "brief", 0), Failed)  # the nonce may be tried again
    await house.end()


@still
async def test_who_stands_before_one_that_leaves_is_told_nothing(clock: Clock) -> None:
    house = House(clock)
    holder, first, second = (house.connect() for _ in range(3))
    await holder.open()
    waits(first, "first")
    await settled()
    refused = waits(second, "second", 5)
    await house.passes(6)
    assert (await refused).code == "CAPACITY_REACHED"
    assert positions(first) == [1]
    await house.end()


@still
async def test_a_connection_that_is_cut_keeps_its_position_for_who_comes_back(clock: Clock) -> None:
    house = House(clock)
    holder, cut, behind, back = (house.connect() for _ in range(4))
    opened = await holder.open()
    waits(cut, "n")
    await settled()
    later = waits(behind, "behind")
    await settled()
    await cut.cut()
    await house.passes(9)
    again = waits(back, "n")
    await settled()
    assert positions(back) == [1]
    await house.passes(100)
    await free(house, holder, opened)
    assert isinstance(await again, Opened)
    assert not later.done()
    assert house.diary.made == 2
    await house.end()


@still
async def test_a_position_is_given_up_when_nobody_comes_back(clock: Clock) -> None:
    house = House(clock)
    holder, cut, behind = (house.connect() for _ in range(3))
    opened = await holder.open()
    waits(cut, "n")
    await settled()
    later = waits(behind, "behind")
    await settled()
    await cut.cut()
    await house.passes(10)
    assert house.engine.waiting == 1
    assert positions(behind) == [2, 1]
    await free(house, holder, opened)
    assert isinstance(await later, Opened)
    await house.end()
    assert house.diary.made == 2


@still
async def test_each_absence_counts_by_itself(clock: Clock) -> None:
    house = House(clock)
    holder, first, second, third = (house.connect() for _ in range(4))
    await holder.open()
    waits(first, "n")
    await settled()
    await first.cut()
    await house.passes(5)
    waits(second, "n")
    await house.passes(4)
    await second.cut()
    await house.passes(2)  # eleven since the first was cut, two since the second was
    assert house.engine.waiting == 1
    waits(third, "n", 0)
    await settled()
    assert positions(third) == [1]
    await house.end()


@still
async def test_who_comes_back_at_the_very_end_of_patience_is_answered(clock: Clock) -> None:
    house = House(clock)
    holder, cut, back = (house.connect() for _ in range(3))
    await holder.open()
    waits(cut, "n")
    await settled()
    await cut.cut()
    clock.now += 10
    again: list[asyncio.Task[Any]] = []
    asyncio.get_running_loop().call_later(0, lambda: again.append(waits(back, "n")))
    await settled()
    await house.passes(600)
    assert again[0].done()
    assert not again[0].cancelled()
    assert again[0].result().code == "CAPACITY_REACHED"
    await house.end()


@still
async def test_two_connections_wait_for_one_session(clock: Clock) -> None:
    house = House(clock)
    holder, one, two = (house.connect() for _ in range(3))
    opened = await holder.open()
    waiting = [waits(one, "n")]
    await settled()
    waiting.append(waits(two, "n"))
    await settled()
    assert house.engine.waiting == 1
    assert positions(one) == positions(two) == [1]
    await one.cut()
    await house.passes(60)
    await free(house, holder, opened)
    assert isinstance(await waiting[1], Opened)
    assert house.diary.made == 2
    await house.end()


@still
async def test_a_place_that_cannot_be_used_is_given_on(clock: Clock) -> None:
    house = House(clock)
    holder, one, two = (house.connect() for _ in range(3))
    opened = await holder.open()
    first = waits(one, "one")
    await settled()
    second = waits(two, "two")
    await settled()
    house.cls.on_make = "raise"  # type: ignore[attr-defined]
    await free(house, holder, opened)
    assert (await first).code == (await second).code == "FACTORY_ERROR"
    assert house.engine.active == 0
    await house.end()


@still
async def test_more_places_are_given_to_who_waits(clock: Clock) -> None:
    house = House(clock)
    wire = house.connect()
    await wire.open()
    waiting = [waits(wire, str(number)) for number in range(3)]
    await settled()
    house.engine.resize(3)
    await settled()
    assert [one.done() for one in waiting] == [True, True, False]
    assert house.engine.active == 3
    await house.end()


@still
async def test_the_queue_is_bounded(clock: Clock) -> None:
    house = House(clock)
    wire = house.connect()
    await wire.open()
    for _ in range(LONGEST_LINE):
        asyncio.create_task(house.engine.open(queue_timeout_s=600)).add_done_callback(lambda task: task.exception())
    await settled()
    assert LONGEST_LINE == house.engine.waiting == 1024
    refused = await waits(wire, "one too many")
    assert refused.code == "CAPACITY_REACHED"
    assert 1 <= refused.details["retry_after_s"] <= 60
    await house.engine.drain()


@still
async def test_a_slow_session_does_not_keep_its_connection_from_waiting(clock: Clock) -> None:
    house = House(clock, 1)
    wire = house.connect()
    opened = await wire.open()
    waits(wire, "other")
    await settled()
    assert isinstance(await wire.reset(opened), Observed)
    assert (await wire.ask(step(opened, 2))).observation.value == [1, 1]
    await house.end()


@still
async def test_the_advice_follows_how_often_places_become_free(clock: Clock) -> None:
    line = WaitingLine(lambda: None, clock=clock)
    assert line.advice_s() == 1.0
    for _ in range(10):
        clock.now += 6
        line.note_freed()
    assert 5 <= line.advice_s() <= 6
    clock.now += 10_000
    assert line.advice_s() == 60.0
    for _ in range(100):
        clock.now += 0.001
        line.note_freed()
    assert line.advice_s() == 1.0
