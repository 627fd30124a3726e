"""Opening by nonce: one session however often and wherever it is asked for, and none that nobody has."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.session.still import Clock, House, settled, still

from openenv.protocol import GetState, Open, StateIs


@still
async def test_the_same_nonce_is_the_same_session_on_every_connection(clock: Clock) -> None:
    house = House(clock, 2)
    wires = [house.connect() for _ in range(3)]
    opened = await asyncio.gather(*(wire.open("a") for wire in wires), wires[0].open("a"), wires[0].open("b"))
    assert len({one.session for one in opened[:4]}) == len({one.token for one in opened[:4]}) == 1
    assert opened[4].session != opened[0].session
    assert house.diary.made == 2
    for wire in wires:
        assert isinstance(await wire.ask(GetState(session=opened[0].session)), StateIs)
    await wires[0].cut()
    await wires[1].cut()
    await house.passes(10_000)
    assert house.engine.active == 1  # still held by the third
    await house.end()


@still
async def test_a_lost_reply_to_an_open_orphans_nothing(clock: Clock) -> None:
    house = House(clock)
    first, second = house.connect(), house.connect()
    first.begin(Open(nonce="n"))  # and nobody reads the answer
    await settled()
    await first.cut()
    opened = await second.open("n")
    assert house.diary.made == 1
    assert (await second.resume(opened)).last_id == 0
    await house.end()


@still
async def test_what_nobody_claims_ends_soon_and_what_is_claimed_does_not(clock: Clock) -> None:
    house = House(clock, 2)
    first, second = house.connect(), house.connect()
    gone = [asyncio.create_task(first.peer.answer(Open(nonce=nonce))) for nonce in ("a", "b")]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await first.peer.leave()  # while they are being opened
    await asyncio.gather(*gone, return_exceptions=True)
    await settled()
    assert house.engine.active == 2
    await house.passes(59)
    claimed = await second.open("a")
    await house.passes(1)
    assert house.engine.active == 1
    gone = await second.ask(Open(nonce="b"))
    assert (gone.code, gone.details["reason"]) == ("EPISODE_LOST", "lease_expired")
    await second.cut()
    await house.passes(899)  # from now on it has its whole lease
    third = house.connect()
    assert (await third.resume(claimed)).lease_s == 900.0
    await house.end()


@still
async def test_a_failed_open_may_be_tried_again_under_its_nonce(clock: Clock) -> None:
    house = House(clock, on_make="raise")
    wire = house.connect()
    for _ in range(2):
        failed = await wire.ask(Open(nonce="n"))
        assert (failed.code, failed.session, failed.id) == ("FACTORY_ERROR", "", 0)
        assert failed.details["nonce"] == "n"
    house.cls.on_make = "ok"  # type: ignore[attr-defined]
    await wire.open("n")
    await house.end()


@still
async def test_an_error_nobody_foresaw_names_the_nonce_too(clock: Clock) -> None:
    house = House(clock)
    wire = house.connect()

    async def broken(**_: Any) -> Any:
        raise ArithmeticError("odd")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(house.engine, "open", broken)
        failed = await wire.ask(Open(nonce="n"))
    assert (failed.code, failed.details.get("nonce")) == ("INTERNAL", "n")
    await house.end()
