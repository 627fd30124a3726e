"""What becomes of an episode when its environment dies or does not answer, by script."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.session.scripted import Family, dead, lost, take, until
from tests.unit.session.worlds import Seen

from openenv.errors import ActionInvalid, ExecutionFailed, FactoryFailed, RewardInvalid
from openenv.protocol import Observed, Reset
from openenv.session.episode.history import evidence
from openenv.session.episode.survivor import Survivor

# A process that dies -----------------------------------------------------------------------------


async def test_a_step_that_its_process_died_under_runs_once_more_in_another() -> None:
    family = Family([0, 1, dead()], [0, 1, 2, 3], deterministic=True)
    session = family.session()
    await session.reset(Reset())
    await session.step(take(1))
    assert (await session.step(take(2))).observation.value == 2
    assert (await session.step(take(3))).observation.value == 3
    assert family.hosts[1].asked == ["reset", "step 1", "step 2", "step 3"]


async def test_a_step_that_kills_every_process_is_the_end_of_the_episode() -> None:
    family = Family([0, dead()], [0, dead()], [0, 1], deterministic=True)
    session = family.session()
    await session.reset(Reset())
    assert await lost(session.step(take(1))) == "worker_died"
    assert await lost(session.step(take(1))) == "worker_died"
    assert await lost(session.state()) == "worker_died"
    assert family.given == 2
    await session.reset(Reset())
    assert (await session.step(take(1))).observation.value == 1


async def test_an_episode_that_went_another_way_is_lost() -> None:
    family = Family([0, 1, dead()], [0, 9], deterministic=True)
    session = family.session()
    await session.reset(Reset())
    await session.step(take(1))
    assert await lost(session.step(take(2))) == "diverged"
    assert family.hosts[1].closed == 1


async def test_a_volatile_field_may_differ() -> None:
    family = Family([0, 1, dead()], [7, 8, 2], deterministic=True, volatile=frozenset({"value"}))
    session = family.session()
    await session.reset(Reset())
    await session.step(take(1))
    assert (await session.step(take(2))).observation.value == 2


async def test_what_is_not_deterministic_is_lost_without_another_try() -> None:
    family = Family([0, dead()], [0])
    session = family.session()
    await session.reset(Reset())
    assert await lost(session.step(take(1))) == "worker_died"
    assert family.given == 1


async def test_errors_are_part_of_the_episode() -> None:
    family = Family([0, ExecutionFailed("boom"), dead()], [0, ExecutionFailed("boom"), 2], deterministic=True)
    session = family.session()
    await session.reset(Reset())
    with pytest.raises(ExecutionFailed):
        await session.step(take(1))
    assert (await session.step(take(2))).observation.value == 2


async def test_a_refused_action_is_no_part_of_it() -> None:
    family = Family([0, ActionInvalid("no"), dead()], [0, 2], deterministic=True)
    session = family.session()
    await session.reset(Reset())
    with pytest.raises(ActionInvalid):
        await session.step(take(1))
    await session.step(take(2))
    assert family.hosts[1].asked == ["reset", "step 2"]


async def test_state_is_asked_again_too() -> None:
    family = Family([0, dead()], [0, None], deterministic=True)
    session = family.session()
    await session.reset(Reset())
    await session.state()
    assert family.hosts[1].asked == ["reset", "state"]


async def test_an_environment_that_cannot_be_built_again_is_an_episode_lost() -> None:
    family = Family([0, dead()], deterministic=True)
    session = family.session()
    await session.reset(Reset())
    family.fails = FactoryFailed("the disk is full")
    assert await lost(session.step(take(1))) == "worker_died"
    with pytest.raises(FactoryFailed):
        await session.reset(Reset())
    assert await lost(session.step(take(1))) == "worker_died"


@pytest.mark.parametrize("answer", [RewardInvalid("nan", details={"done": False}), ExecutionFailed("boom")])
async def test_an_environment_that_failed_has_moved_all_the_same(answer: Exception) -> None:
    """Nothing runs on a fresh environment that was never reset."""
    family = Family([answer, dead()], [9, 9], lifecycle="lenient")
    session = family.session()
    with pytest.raises(type(answer)):
        await session.reset(Reset())
    assert await lost(session.step(take(1))) == "worker_died"


async def test_dead_environments_are_let_go() -> None:
    family = Family([0, dead()], [0, dead()], [0], deterministic=True)
    session = family.session()
    await session.reset(Reset())
    assert await lost(session.step(take(1))) == "worker_died"
    await session.reset(Reset())
    await session.close()
    assert [host.closed for host in family.hosts] == [1, 1, 1]


@pytest.mark.parametrize("deterministic", [True, False])
async def test_a_reset_of_a_dead_environment_is_a_fresh_start(deterministic: bool) -> None:
    """The old episode does not matter any more."""
    family = Family([0, 1, dead()], [5], deterministic=deterministic)
    session = family.session()
    await session.reset(Reset())
    await session.step(take(1))
    assert (await session.reset(Reset())).observation.value == 5
    assert family.hosts[1].asked == ["reset"]


async def test_a_caller_that_goes_away_while_the_episode_is_played_again_leaks_nothing() -> None:
    never = asyncio.get_running_loop().create_future()
    family = Family([0, dead()], [never], deterministic=True)
    session = family.session()
    await session.reset(Reset())
    step = asyncio.create_task(session.step(take(1)))
    await until(lambda: family.hosts[1].asked == ["reset"])
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    await session.close()
    assert family.hosts[1].closed == 1


async def test_a_step_whose_caller_went_away_is_not_forgotten() -> None:
    """Played again without it, the episode would be another one."""
    never = asyncio.get_running_loop().create_future()
    family = Family([0, never, 2, dead()], [0, 2, 3], deterministic=True)
    session = family.session()
    await session.reset(Reset())
    step = asyncio.create_task(session.step(take(1)))
    await until(lambda: "step 1" in family.hosts[0].asked)
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    await session.step(take(2))
    assert await lost(session.step(take(3))) == "worker_died"


# Evidence ----------------------------------------------------------------------------------------


def test_evidence_is_what_was_answered() -> None:
    def seen(value: int, clock: int = 0, **more: Any) -> bytes:
        return evidence(
            Observed(observation=Seen(value=value), metadata={"clock": clock}, **more), frozenset({"clock"})
        )

    assert seen(1, 1, id=3) == seen(1, 2, id=4)
    assert seen(1) != seen(2)
    assert seen(1, done=True) != seen(1)
    assert seen(1, reward=1.0) != seen(1, reward=2.0)
    assert evidence(ExecutionFailed("one")) == evidence(ExecutionFailed("another"))
    assert evidence(ExecutionFailed("")) != evidence(RewardInvalid("", details={"done": False}))


async def test_a_survivor_is_not_renewed_by_itself() -> None:
    family = Family([dead()], [0])
    survivor = Survivor(family.hosts[0], family)
    await survivor.move(Reset())  # nothing had happened, so nothing is lost
    assert survivor.lost is None
    assert family.given == 2
