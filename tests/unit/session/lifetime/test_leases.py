"""How long sessions live, on a clock of the test's own: held, let go, forgotten, idle, and in somebody's way."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.session.still import Clock, House, run_still, settled, step, still

from openenv.errors import ConfigurationError
from openenv.protocol import Ended, GetState, Observed, Open, Opened, Reset
from openenv.session import LEASE_S
from openenv.session.lifetime.leases import Leases

DAY_S = 86_400.0


@still
async def test_a_session_that_is_held_lives_for_ever(clock: Clock) -> None:
    house = House(clock)
    wire = house.connect()
    opened = await wire.open()
    assert opened.lease_s == LEASE_S == 900.0
    await wire.reset(opened)
    for _ in range(30):
        await house.passes(DAY_S)
    assert (await wire.ask(step(opened, 2))).observation.value == [1, 1]
    await house.end()


@still
async def test_a_session_that_was_let_go_ends_with_its_lease(clock: Clock) -> None:
    house = House(clock, lease_s=100)
    wire = house.connect()
    assert (await wire.open()).lease_s == 100
    await house.passes(DAY_S)
    await wire.cut()
    await house.passes(99.5)
    assert house.engine.active == 1
    await house.passes(0.5)
    assert house.engine.active == 0
    await house.end()


@still
async def test_who_comes_back_in_time_has_a_whole_lease_again(clock: Clock) -> None:
    house = House(clock, lease_s=100)
    wire = house.connect()
    opened = await wire.open()
    for _ in range(5):
        await wire.cut()
        await house.passes(99)
        wire = house.connect()
        await wire.resume(opened)
    await house.end()
    assert house.diary.made == 1


@still
async def test_nothing_ends_while_a_step_runs_nor_right_after(clock: Clock) -> None:
    house = House(clock, lease_s=100, idle_timeout_s=50)
    gone, held = house.connect(), house.connect()
    house.engine.resize(2)
    sessions = [await gone.open("gone"), await held.open("held")]
    for wire, opened in zip((gone, held), sessions, strict=True):
        await wire.reset(opened)
        wire.begin(step(opened, 2, "wait"))
    await settled()
    await gone.cut()
    await house.passes(10_000)
    await house.passes(10_000)
    house.diary.open.set()
    await settled()
    await house.passes(49)
    assert house.engine.active == 2
    await house.passes(1)
    assert [ended.reason for ended in held.notices(Ended)] == ["idle"]
    await house.passes(49)
    assert house.engine.active == 1
    await house.passes(1)
    assert house.engine.active == 0
    await house.end()


@still
async def test_nothing_that_waits_for_its_turn_is_lost_either(clock: Clock) -> None:
    house = House(clock, lease_s=100)
    wire = house.connect()
    opened = await wire.open()
    await wire.reset(opened)
    running = [wire.begin(step(opened, number, "wait", ack=1)) for number in (2, 3, 4)]
    await settled()
    await wire.cut()
    await house.passes(1000)
    house.diary.open.set()
    assert [(await one).observation.value for one in running] == [[1, 1], [1, 2], [1, 3]]
    await house.end()


@still
async def test_requests_without_a_connection_renew_the_lease(clock: Clock) -> None:
    house = House(clock, lease_s=100)
    session = await house.engine.open()
    house.engine.leases.begin(session)
    for _ in range(3):
        await house.passes(99)
        house.engine.leases.renew(house.engine.sessions.get(session.id))
        await session.reset(Reset())
    await house.passes(99)
    assert house.engine.active == 1
    await house.passes(1)
    assert house.engine.active == 0
    await house.end()


@still
async def test_renewing_claims_what_was_unclaimed(clock: Clock) -> None:
    house = House(clock, lease_s=100)
    session = await house.openings.open("n", 0.0, lambda _: None)
    house.engine.leases.renew(session)
    await house.passes(99)
    assert house.engine.active == 1
    await house.passes(1)
    assert house.engine.active == 0
    await house.end()


@still
async def test_what_is_unclaimed_ends_with_a_shorter_lease_if_that_is_shorter(clock: Clock) -> None:
    house = House(clock, lease_s=10)
    await house.openings.open("n", 0.0, lambda _: None)
    await house.passes(10)
    assert house.engine.active == 0
    await house.end()


@still
async def test_what_is_held_and_forgotten_ends_only_if_the_server_says_so(clock: Clock) -> None:
    house = House(clock, 2, idle_timeout_s=50)
    wire = house.connect()
    forgotten, used = await wire.open("forgotten"), await wire.open("used")
    for number in range(1, 5):
        await house.passes(25)
        await wire.ask(GetState(session=used.session, id=number))
    await house.passes(1)
    told = wire.notices(Ended)
    assert [(ended.session, ended.reason, ended.id) for ended in told] == [(forgotten.session, "idle", 0)]
    assert "idle" in told[0].message
    refused = await wire.ask(Reset(session=forgotten.session, id=1))
    assert (refused.code, refused.details) == ("EPISODE_LOST", {"reason": "idle"})
    assert isinstance(await wire.ask(Reset(session=used.session, id=5)), Observed)
    await house.end()


@still
async def test_who_comes_back_is_not_idle(clock: Clock) -> None:
    house = House(clock, idle_timeout_s=50)
    wire, back = house.connect(), house.connect()
    opened = await wire.open()
    await house.passes(1)
    await wire.cut()
    await house.passes(400)
    await back.resume(opened)
    await house.passes(1)
    assert isinstance(await back.reset(opened), Observed)
    await house.passes(1)
    await house.passes(49)
    assert house.engine.active == 1
    await house.passes(1)
    assert house.engine.active == 0
    await house.end()


# Reclaiming --------------------------------------------------------------------------------------


@pytest.mark.parametrize("queue_timeout_s", [0.0, 600.0])
def test_a_place_that_nobody_has_held_for_a_minute_is_given_to_who_needs_it(queue_timeout_s: float) -> None:
    async def on_its_own(clock: Clock) -> None:
        house = House(clock, 2)
        longest, shorter = house.connect(), house.connect()
        lost, kept = await longest.open("longest"), await shorter.open("shorter")
        await longest.cut()
        await house.passes(1)
        await shorter.cut()
        await house.passes(59)
        new = house.connect()
        assert isinstance(await new.ask(Open(nonce="new", queue_timeout_s=queue_timeout_s)), Opened)
        back = house.connect()
        refused = await back.ask(step(lost, 1))
        assert (refused.code, refused.details["reason"]) == ("EPISODE_LOST", "reclaimed")
        assert (await back.resume(kept)).last_id == 0
        assert house.diary.most_alive() == 2
        await house.end()

    run_still(on_its_own)


@still
async def test_a_place_is_not_taken_from_who_was_there_a_minute_ago(clock: Clock) -> None:
    house = House(clock)
    wire, other = house.connect(), house.connect()
    opened = await wire.open()
    await wire.cut()
    await house.passes(59)
    refused = await other.ask(Open(nonce="other"))
    assert refused.code == "CAPACITY_REACHED"
    assert refused.details["retry_after_s"] > 0
    await other.resume(opened)
    await house.passes(10_000)
    refused = await house.connect().ask(Open(nonce="third"))
    assert refused.code == "CAPACITY_REACHED"  # it is held
    await house.end()


@still
async def test_who_waits_is_given_what_becomes_reclaimable(clock: Clock) -> None:
    house = House(clock)
    wire, other = house.connect(), house.connect()
    await wire.open()
    await wire.cut()
    await house.passes(10)
    waiting = other.begin(Open(nonce="other", queue_timeout_s=600))
    await settled()
    await house.passes(49)
    assert not waiting.done()
    await house.passes(1)
    assert isinstance(await waiting, Opened)
    await house.end()


@still
async def test_a_step_that_runs_is_not_reclaimed(clock: Clock) -> None:
    house = House(clock)
    wire, other = house.connect(), house.connect()
    opened = await wire.open()
    await wire.reset(opened)
    running = wire.begin(step(opened, 2, "wait"))
    await settled()
    await wire.cut()
    clock.now += 600  # without a look in between
    refused = await other.ask(Open(nonce="other"))
    assert refused.code == "CAPACITY_REACHED"
    house.diary.open.set()
    assert (await running).observation.value == [1, 1]
    await house.end()


@still
async def test_one_who_waits_costs_one_session(clock: Clock) -> None:
    house = House(clock, 3, on_close="wait")
    wire = house.connect()
    for nonce in "abc":
        await wire.open(nonce)
    await wire.cut()
    await house.passes(60)
    waiting = house.connect().begin(Open(nonce="d", queue_timeout_s=600))
    for _ in range(5):
        await house.passes(1)
    assert house.diary.count("closing") == 1
    house.diary.open.set()
    assert isinstance(await waiting, Opened)
    assert house.diary.count("closed") == 1
    await house.end()


@still
async def test_two_who_come_at_once_cost_two_sessions(clock: Clock) -> None:
    house = House(clock, 3)
    wire, other = house.connect(), house.connect()
    for nonce in "abc":
        await wire.open(nonce)
    await wire.cut()
    await house.passes(60)
    replies = await asyncio.gather(*(other.begin(Open(nonce=nonce)) for nonce in "de"))
    assert [type(reply) for reply in replies] == [Opened, Opened]
    assert house.diary.count("closed") == 2
    assert house.diary.most_alive() == 3
    await house.end()


@still
async def test_a_place_that_comes_back_anyhow_costs_no_session(clock: Clock) -> None:
    house = House(clock, 2, on_close="wait")
    wire, other = house.connect(), house.connect()
    session = await house.engine.open()
    await wire.open("kept")
    await wire.cut()
    await house.passes(60)
    closing = asyncio.create_task(session.close())
    await settled()
    waiting = other.begin(Open(nonce="new"))
    await settled()
    assert house.diary.count("closing") == 1
    house.diary.open.set()
    assert isinstance(await waiting, Opened)
    await closing
    assert house.engine.active == 2
    assert house.diary.count("closed") == 1
    await house.end()


# Settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["lease_s", "idle_timeout_s"])
def test_times_are_above_nought(name: str, wrong: float) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be a number of seconds above 0"):
        Leases(**{name: wrong})
    leases = Leases(lease_s=5)
    with pytest.raises(ConfigurationError, match=name):
        leases.set(**{name: wrong})
    assert leases.lease_s == 5
    leases.set()
    assert leases.lease_s == 5
