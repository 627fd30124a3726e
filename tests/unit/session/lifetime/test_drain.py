"""A server that stops: what still runs is answered, everybody is told, and nobody new comes in."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.session.still import Clock, House, Plain, settled, step, still

from openenv.errors import CapacityReached, EpisodeLost, ServerDraining
from openenv.protocol import Ended, Failed, GetState, Observed, Open, Opened, Queued, Reset, Resume, Resumed
from openenv.session import Peer


@still
async def test_a_running_step_is_answered_and_then_its_client_is_told(clock: Clock) -> None:
    house = House(clock, 2)
    busy, idle = house.connect(), house.connect()
    opened, other = await busy.open("busy"), await idle.open("idle")
    await busy.reset(opened)
    for number in (2, 3):
        busy.begin(step(opened, number, "wait", ack=1))
    await settled()
    draining = asyncio.create_task(house.engine.drain())
    await settled()
    assert [ended.session for ended in idle.notices(Ended)] == [other.session]
    assert busy.notices(Ended) == []
    assert not draining.done()
    house.diary.open.set()
    await draining
    assert [type(one) for one in busy.heard[-3:]] == [Observed, Observed, Ended]
    ended = busy.heard[-1]
    assert (ended.session, ended.reason, ended.id) == (opened.session, "server_stopped", 0)
    assert "stopped" in ended.message
    assert house.engine.active == 0
    await house.end()


@still
async def test_nobody_new_comes_in(clock: Clock) -> None:
    house = House(clock, 2)
    wire, other = house.connect(), house.connect()
    opened = await wire.open("held")
    await wire.reset(opened)
    wire.begin(step(opened, 2, "wait"))
    await settled()
    assert not house.engine.is_draining
    draining = asyncio.create_task(house.engine.drain())
    await settled()
    assert house.engine.is_draining
    refused = await other.ask(Open(nonce="new", queue_timeout_s=600))
    assert (refused.code, refused.retryable, refused.session, refused.id) == ("SERVER_DRAINING", True, "", 0)
    assert refused.details["nonce"] == "new"
    old = await house.connect().peer.open_only()
    assert old is not None
    assert old.code == "SERVER_DRAINING"  # type: ignore[union-attr]
    with pytest.raises(ServerDraining):
        await house.shared.for_reset()
    house.diary.open.set()
    await draining
    assert (await other.ask(Open(nonce="newer"))).code == "SERVER_DRAINING"
    await house.end()
    assert house.diary.made == 1


@still
async def test_those_who_wait_are_sent_away(clock: Clock) -> None:
    house = House(clock)
    holder, *wires = (house.connect() for _ in range(4))
    await holder.open()
    waiting = [wire.begin(Open(nonce=str(n), queue_timeout_s=600)) for n, wire in enumerate(wires)]
    await settled()
    await house.engine.drain()
    assert [(await one).code for one in waiting] == ["SERVER_DRAINING"] * 3
    assert [(await one).details["nonce"] for one in waiting] == ["0", "1", "2"]
    assert [len(wire.notices(Queued)) for wire in wires] == [1, 1, 1]
    assert house.engine.waiting == 0
    await house.end()
    assert house.diary.made == 1


@pytest.mark.parametrize("when", range(20))
def test_who_is_given_a_place_at_that_very_moment_leaves_nothing(when: int) -> None:
    @still
    async def at_any_moment(clock: Clock) -> None:
        house = House(clock)
        holder, wire = house.connect(), house.connect()
        opened = await holder.open()
        waiting = wire.begin(Open(nonce="n", queue_timeout_s=600))
        await settled()
        closing = asyncio.create_task(holder.session(opened).close())
        for _ in range(when):
            await asyncio.sleep(0)
        await house.engine.drain()  # all of it: nothing may be there afterwards
        await asyncio.gather(waiting, closing)
        await settled()
        assert house.engine.active == 0
        house.diary.check_closed_once()
        if isinstance(waiting.result(), Opened):
            assert [ended.reason for ended in wire.notices(Ended)] == ["server_stopped"]
        else:
            assert waiting.result().code in ("SERVER_DRAINING", "EPISODE_LOST")
        await house.end()

    at_any_moment()


@pytest.mark.parametrize("when", range(12))
def test_what_is_opening_at_that_moment_is_ended_too(when: int) -> None:
    @still
    async def at_any_moment(clock: Clock) -> None:
        house = House(clock)
        wire = house.connect()
        opening = wire.begin(Open(nonce="n"))
        for _ in range(when):
            await asyncio.sleep(0)
        await house.engine.drain()
        await opening
        await settled()
        assert house.engine.active == 0
        house.diary.check_closed_once()
        await house.end()

    at_any_moment()


@still
async def test_the_grace_ends_and_what_runs_goes_on_to_its_end(clock: Clock) -> None:
    house = House(clock)
    wire = house.connect()
    opened = await wire.open()
    await wire.reset(opened)
    running = wire.begin(step(opened, 2, "wait"))
    await settled()
    draining = asyncio.create_task(house.engine.drain(grace_s=10))
    await house.passes(9.9)
    assert not draining.done()
    await house.passes(0.2)
    with pytest.raises(TimeoutError):
        await draining
    assert not running.done()
    assert house.engine.active == 1
    house.diary.open.set()
    await house.engine.aclose()
    assert (await running).observation.value == [1, 1]
    await house.end()


@still
async def test_a_client_that_comes_back_while_its_step_runs_is_answered_or_told(clock: Clock) -> None:
    house = House(clock)
    wire, back = house.connect(), house.connect()
    opened = await wire.open()
    await wire.reset(opened)
    wire.begin(step(opened, 2, "wait"))
    await settled()
    await wire.cut()
    draining = asyncio.create_task(house.engine.drain())
    await settled()
    reply = await back.ask(Resume(session=opened.session, token=opened.token))
    if isinstance(reply, Resumed):
        again = back.begin(step(opened, 2, "wait"))
        await settled()
        house.diary.open.set()
        assert (await again).observation.value == [1, 1]
    else:
        assert (reply.code, reply.details) == ("EPISODE_LOST", {"reason": "server_stopped"})
    house.diary.open.set()
    await draining
    assert house.diary.count("step") == 1
    await house.end()


@still
async def test_a_second_stop_waits_for_the_same_end(clock: Clock) -> None:
    house = House(clock, 2)
    wire = house.connect()
    for nonce in "ab":
        await wire.open(nonce)
    await asyncio.gather(house.engine.drain(), house.engine.drain(), house.engine.aclose())
    assert len(wire.notices(Ended)) == 2
    await house.engine.aclose()
    await house.end()


@still
async def test_a_client_that_does_not_read_does_not_keep_the_server(clock: Clock) -> None:
    house = House(clock)
    wire = house.connect()
    opened = await wire.open()
    never = asyncio.Event()

    async def stalled(frame: object) -> None:
        if isinstance(frame, Ended):
            await never.wait()

    deaf = house.connect()
    deaf.peer = Peer(house.engine, house.openings, house.shared, Plain(), stalled)  # type: ignore[arg-type]
    await deaf.resume(opened)
    draining = asyncio.create_task(house.engine.drain())
    await house.passes(2)
    await house.passes(2)
    assert draining.done()
    assert [ended.reason for ended in wire.notices(Ended)] == ["server_stopped"]
    never.set()
    await house.end()


@still
async def test_the_shared_session_is_stopped_too(clock: Clock) -> None:
    house = House(clock)
    shared = await house.shared.for_reset()
    await shared.reset(Reset())
    await house.engine.drain()
    with pytest.raises(EpisodeLost) as caught:
        await (await house.shared.for_step()).state()
    assert caught.value.details == {"reason": "server_stopped"}
    house.diary.check_closed_once()


@still
async def test_requests_of_a_session_that_is_ending_are_told(clock: Clock) -> None:
    house = House(clock, on_close="wait")
    wire, late = house.connect(), house.connect()
    opened = await wire.open()
    await wire.reset(opened)
    draining = asyncio.create_task(house.engine.drain())
    await settled()
    asked = wire.begin(GetState(session=opened.session, id=2))
    await settled()
    reply = await late.ask(Resume(session=opened.session, token=opened.token))
    assert (reply.code, reply.details["reason"]) == ("EPISODE_LOST", "server_stopped")
    house.diary.open.set()
    await draining
    assert ((await asked).code, (await asked).details["reason"]) == ("EPISODE_LOST", "server_stopped")
    await settled()
    assert [type(one) for one in wire.heard[-2:]] == [Failed, Ended]
    await house.end()


@still
async def test_a_place_is_counted_until_close_has_returned(clock: Clock) -> None:
    house = House(clock, on_close="wait")
    session = await house.engine.open()
    closing = asyncio.create_task(session.close())
    await settled()
    assert house.engine.active == 1
    with pytest.raises(CapacityReached):
        await house.engine.open(patient=False)
    house.diary.open.set()
    await closing
    assert house.engine.active == 0
    await house.end()
