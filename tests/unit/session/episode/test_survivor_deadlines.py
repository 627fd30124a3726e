"""What becomes of an episode when a request takes longer than it may, by script."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.session.scripted import Family, dead, lost, take

from openenv.errors import StepTimeout
from openenv.protocol import Reset
from openenv.session.hosting.host import After


async def timed_out(call: Any) -> bool:
    with pytest.raises(StepTimeout) as error:
        await call
    return bool(error.value.details["usable"])


def endless() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


async def test_what_ended_its_call_goes_on() -> None:
    family = Family([0, endless(), 2], after=After.USABLE)
    session = family.session()
    await session.reset(Reset())
    assert await timed_out(session.step(take(1, 0.01)))
    assert (await session.step(take(2))).observation.value == 2
    assert family.hosts[0].asked[1] == "deadlines"


async def test_how_far_it_had_come_is_not_known_so_it_is_not_played_again() -> None:
    family = Family([0, endless(), 2, dead(), 4], after=After.USABLE, deterministic=True)
    session = family.session()
    await session.reset(Reset())
    assert await timed_out(session.step(take(1, 0.01)))
    await session.step(take(2))
    assert await lost(session.step(take(3))) == "worker_died"


async def test_what_does_not_let_go_is_lost_until_a_reset() -> None:
    family = Family([0, endless()], [0, 1], after=After.STUCK)
    session = family.session()
    await session.reset(Reset())
    assert not await timed_out(session.step(take(1, 0.01)))
    assert await lost(session.step(take(1))) == "stuck"
    [(host, call)] = family.stranded
    assert host is family.hosts[0]
    assert not call.done()
    await session.reset(Reset())
    await session.step(take(1))
    await session.close()
    assert [host.closed for host in family.hosts] == [0, 1]  # who took the other over closes it
    call.cancel()


async def test_what_was_killed_is_played_again_without_the_step() -> None:
    family = Family([0, 1, endless()], [0, 1, 5], deterministic=True)
    session = family.session()
    await session.reset(Reset())
    await session.step(take(1))
    assert await timed_out(session.step(take(2, 0.01)))
    assert (await session.step(take(3))).observation.value == 5
    assert family.hosts[1].asked == ["reset", "step 1", "step 3"]


async def test_what_was_killed_and_cannot_be_played_is_lost() -> None:
    family = Family([0, endless()])
    session = family.session()
    await session.reset(Reset())
    assert not await timed_out(session.step(take(1, 0.01)))
    assert await lost(session.step(take(1))) == "worker_died"


async def test_the_answer_does_not_wait_for_the_replay() -> None:
    family = Family([0, endless()], [endless()], deterministic=True)
    session = family.session()
    await session.reset(Reset())
    step = asyncio.create_task(session.step(take(1, 0.01)))
    done, _ = await asyncio.wait({step}, timeout=5)
    step.cancel()
    assert done, "the replay hangs, and the answer with it"
    assert await timed_out(step)


@pytest.mark.parametrize("after", [After.USABLE, After.GONE])
async def test_after_a_reset_that_took_too_long_nothing_goes_on(after: After) -> None:
    family = Family([0, endless(), 0], [0, 0, 0], after=after, deterministic=True)
    session = family.session()
    await session.reset(Reset())
    assert not await timed_out(session.reset(Reset(timeout_s=0.01)))
    await session.reset(Reset())
