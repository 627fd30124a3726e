"""Sessions that outlive their connection: what a client finds when it comes back on another one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.session.still import Clock, House, Plain, run_still, settled, step, still

from openenv.protocol import (
    Close,
    Closed,
    Ended,
    Failed,
    GetState,
    Observed,
    Open,
    Opened,
    Reset,
    Resume,
)
from openenv.session import Ending
from openenv.session.episode.departed import Departed


def lost(reply: Any) -> str:
    """The reason of an episode that was lost."""
    assert isinstance(reply, Failed), reply
    assert reply.code == "EPISODE_LOST", reply
    return str(reply.details["reason"])


@still
async def test_another_connection_goes_on_where_the_first_one_ended(clock: Clock) -> None:
    house = House(clock)
    first = house.connect()
    opened = await first.open()
    await first.reset(opened)
    await first.ask(step(opened, 2))
    await first.cut()
    second = house.connect()
    resumed = await second.resume(opened)
    assert (resumed.session, resumed.id, resumed.last_id, resumed.lease_s) == (opened.session, 0, 2, 900.0)
    assert (await second.ask(step(opened, 3))).observation.value == [1, 2]
    await house.end()
    assert house.diary.made == 1


@still
async def test_a_finished_request_gets_its_kept_reply_on_the_other_connection(clock: Clock) -> None:
    house = House(clock)
    first, second = house.connect(), house.connect()
    opened = await first.open()
    await first.reset(opened)
    replies = [await first.ask(step(opened, 2)), await first.ask(step(opened, 3, "raise", ack=1))]
    await first.cut()
    assert (await second.resume(opened)).last_id == 3
    again = [await second.ask(step(opened, 2)), await second.ask(step(opened, 3, "raise", ack=1))]
    assert [one is other for one, other in zip(replies, again, strict=True)] == [True, True]
    assert house.diary.count("step") == 2
    await house.end()


@still
async def test_a_running_request_goes_on_and_its_reply_is_kept(clock: Clock) -> None:
    house = House(clock)
    first, second, third = (house.connect() for _ in range(3))
    opened = await first.open()
    await first.reset(opened)
    running = first.begin(step(opened, 2, "wait"))
    await settled()
    await first.cut()
    await second.resume(opened)
    attached = second.begin(step(opened, 2, "wait"))
    await settled()
    assert not attached.done()
    house.diary.open.set()
    reply = await attached
    assert reply is await running
    assert reply.observation.value == [1, 1]
    await second.cut()
    await third.resume(opened)
    assert await third.ask(step(opened, 2, "wait")) is reply
    assert house.diary.count("step") == 1
    await house.end()


@still
async def test_what_was_never_sent_runs_once_it_comes(clock: Clock) -> None:
    house = House(clock)
    first, second = house.connect(), house.connect()
    opened = await first.open()
    await first.cut()
    assert (await second.resume(opened)).last_id == 0
    assert isinstance(await second.reset(opened), Observed)
    assert (await second.ask(step(opened, 2))).observation.value == [1, 1]
    await house.end()


@pytest.mark.parametrize("late_first", [False, True])
def test_a_frame_of_the_old_connection_that_comes_late_does_not_run_again(late_first: bool) -> None:
    async def on_its_own(clock: Clock) -> None:
        house = House(clock)
        old, new = house.connect(), house.connect()
        opened = await old.open()
        await old.reset(opened)
        await new.resume(opened)  # the server has not yet noticed that the old one is dead
        ways = [old, new] if late_first else [new, old]
        first, second = [await way.ask(step(opened, 2)) for way in ways]
        assert first is second
        assert (await new.ask(step(opened, 3))).observation.value == [1, 2]
        stale = await old.ask(step(opened, 2))
        assert (stale.code, stale.id, stale.session) == ("STALE_REQUEST", 2, opened.session)
        stale = await old.ask(Reset(session=opened.session, id=1))
        assert stale.code == "STALE_REQUEST"
        assert (house.diary.count("reset"), house.diary.count("step")) == (1, 2)
        await house.end()

    run_still(on_its_own)


@still
async def test_resuming_needs_the_token(clock: Clock) -> None:
    house = House(clock, 2)
    first, thief = house.connect(), house.connect()
    opened, other = await first.open("a"), await first.open("b")
    for session, token in ((opened.session, other.token), (opened.session, ""), ("nobody", opened.token)):
        reply = await thief.ask(Resume(session=session, token=token))
        assert isinstance(reply, Failed)
        assert (reply.code, reply.session, reply.id) == ("SESSION_NOT_FOUND", session, 0)
    refused = await thief.ask(step(opened, 1))
    assert refused.code == "SESSION_NOT_FOUND"
    await thief.cut()
    await first.cut()
    await house.passes(899)
    assert house.engine.active == 2  # a wrong token renews nothing either
    await house.passes(1)
    assert house.engine.active == 0
    await house.end()


@still
async def test_a_request_needs_the_session_to_be_held_by_its_connection(clock: Clock) -> None:
    house = House(clock)
    first, second = house.connect(), house.connect()
    opened = await first.open()
    for request in (Reset(session=opened.session, id=1), GetState(session=opened.session), Close(session="", id=1)):
        reply = await second.ask(request)
        assert (reply.code, reply.session, reply.id) == ("SESSION_NOT_FOUND", request.session, request.id)
    await second.resume(opened)
    assert isinstance(await second.reset(opened), Observed)
    await house.end()


@still
async def test_two_connections_share_a_session_until_the_last_one_ends(clock: Clock) -> None:
    house = House(clock, lease_s=100)
    one, two = house.connect(), house.connect()
    opened = await one.open()
    for _ in range(3):
        await two.resume(opened)  # held once, however often it is asked
    await one.reset(opened)
    assert (await two.ask(step(opened, 2))).observation.value == [1, 1]
    assert (await one.ask(step(opened, 3))).observation.value == [1, 2]
    await two.cut()
    await house.passes(10_000)
    assert (await one.ask(step(opened, 4))).observation.value == [1, 3]
    await one.cut()
    await house.passes(99)
    assert house.engine.active == 1
    await house.passes(1)
    assert house.engine.active == 0
    await house.end()


@still
async def test_closing_on_one_connection_is_told_to_the_other_when_it_asks(clock: Clock) -> None:
    house = House(clock)
    one, two = house.connect(), house.connect()
    opened = await one.open()
    await two.resume(opened)
    assert isinstance(await two.ask(Close(session=opened.session, id=1)), Closed)
    assert lost(await one.ask(Reset(session=opened.session, id=2))) == "closed"
    assert one.notices(Ended) == two.notices(Ended) == []  # the server did not end it
    await house.end()


@still
async def test_a_close_whose_reply_was_lost_is_told_to_be_done(clock: Clock) -> None:
    house = House(clock)
    one, two = house.connect(), house.connect()
    opened = await one.open()
    await one.ask(Close(session=opened.session, id=1))
    await one.cut()
    gone = await two.ask(Resume(session=opened.session, token=opened.token))
    assert lost(gone) == "closed"
    assert (gone.session, gone.id) == (opened.session, 0)
    assert lost(await two.ask(Close(session=opened.session, id=1))) == "closed"
    await house.end()


async def _lease(house: House, opened: Opened) -> None:
    await house.wires[0].cut()
    await house.passes(900)


async def _reclaim(house: House, opened: Opened) -> None:
    await house.wires[0].cut()
    await house.passes(60)
    await house.connect().open("another")


async def _idle(house: House, opened: Opened) -> None:
    house.engine.leases.set(idle_timeout_s=30)
    await house.passes(1)
    await house.passes(30)


async def _stop(house: House, opened: Opened) -> None:
    await house.engine.drain()


async def _close(house: House, opened: Opened) -> None:
    await house.wires[0].ask(Close(session=opened.session, id=2))


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (_lease, "lease_expired"),
        (_reclaim, "reclaimed"),
        (_idle, "idle"),
        (_stop, "server_stopped"),
        (_close, "closed"),
    ],
)
def test_a_client_that_comes_too_late_is_told_why(end: Any, reason: str) -> None:
    async def on_its_own(clock: Clock) -> None:
        house = House(clock)
        first = house.connect()
        opened = await first.open("nonce")
        await first.reset(opened)
        await end(house, opened)
        await settled()
        late = house.connect()
        assert lost(await late.ask(Resume(session=opened.session, token=opened.token))) == reason
        assert lost(await late.ask(step(opened, 2))) == reason
        assert lost(await first.ask(step(opened, 2))) == reason
        again = await late.ask(Open(nonce="nonce"))
        assert (lost(again), again.session, again.details["nonce"]) == (reason, "", "nonce")
        assert house.diary.count("closed", 1) == 1
        told = [ended.reason for ended in first.notices(Ended)]
        assert told == ([reason] if reason in ("idle", "server_stopped") else [])
        await house.end()

    run_still(on_its_own)


def test_the_oldest_ends_are_forgotten_first() -> None:
    departed = Departed(most=4)
    departed.note(Ending.CLOSED, "a", "nonce of a")
    departed.note(Ending.IDLE, "b", "nonce of b")
    assert departed.why("a") is departed.why("nonce of a") is Ending.CLOSED
    departed.note(Ending.RECLAIMED, "c", "nonce of c")
    assert departed.why("a") is departed.why("nonce of a") is None
    assert (departed.why("b"), departed.why("nonce of c")) == (Ending.IDLE, Ending.RECLAIMED)
    assert departed.why("d") is None


# Order -------------------------------------------------------------------------------------------


@still
async def test_every_reply_comes_before_the_end_on_every_connection(clock: Clock) -> None:
    house = House(clock)
    one, two = house.connect(), house.connect()
    opened = await one.open()
    await two.resume(opened)
    await one.reset(opened)
    for wire in (one, two):
        wire.begin(step(opened, 2, "wait"))
    await settled()
    stopping = asyncio.create_task(house.engine.drain())
    await settled()
    house.diary.open.set()
    await stopping
    await settled()
    for wire in (one, two):
        assert [type(reply) for reply in wire.heard[-2:]] == [Observed, Ended]
    await house.end()


class _Breaking(Plain):
    """Cannot say observations, for a reason of its own."""

    def encode(self, reply: Any) -> Any:
        if isinstance(reply, Observed):
            raise ArithmeticError("unspeakable")
        return reply


@still
async def test_a_reply_that_cannot_be_encoded_is_an_answer_each_time(clock: Clock) -> None:
    house = House(clock)
    odd, plain = house.connect(_Breaking()), house.connect()
    opened = await odd.open()
    for wire in (odd, odd, plain):
        await wire.resume(opened)
        reply = await wire.reset(opened)
        assert (reply.code, reply.session, reply.id) == ("INTERNAL", opened.session, 1)
        assert "unspeakable" in reply.message
    assert house.diary.count("reset") == 1
    await house.end()
