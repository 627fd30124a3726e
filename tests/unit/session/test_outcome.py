"""What has come of an episode: counted move by move, and the same after a restart; and the tokens of its agents."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.session.tool_worlds import Hearing, Jump, Plain, Tools, call_of, playing, serving
from tests.unit.session.worlds import World, act, engine_of, step_of, world

from openenv.environment import Environment, Isolation
from openenv.errors import (
    EpisodeDone,
    EpisodeLost,
    ExecutionFailed,
    NotRestorable,
    ObservationInvalid,
    RewardInvalid,
    SessionClosed,
)
from openenv.protocol import Reset, Step
from openenv.session import Ending, Moved, events_of
from openenv.types import Observation, State


async def test_an_outcome_follows_its_episode() -> None:
    async with serving(Tools, "inline") as engine:
        session = await engine.open()
        fresh = session.outcome()
        assert (fresh.phase, fresh.steps, fresh.episode_id, fresh.done) == ("fresh", 0, None, False)
        await session.reset(Reset(seed=1, episode_id="E1"))
        assert (session.outcome().phase, session.outcome().episode_id) == ("running", "E1")
        session.move_now(call_of("add", by=1))
        await session.step(call_of("speak", words=0))
        running = session.outcome()
        assert (running.steps, running.reward, running.total_reward, running.done) == (2, None, 1.0, False)
        await session.step(call_of("add", by=2))
        done = session.outcome()
        assert (done.phase, done.steps, done.reward, done.total_reward) == ("done", 3, 2.5, 3.5)
        assert (done.done, done.terminated, done.truncated) == (True, True, False)
        session.move_now(Reset(episode_id="E2"))
        again = session.outcome()
        assert (again.phase, again.steps, again.total_reward, again.done) == ("running", 0, 0.0, False)
        assert again.episode_id == "E2"
        await session.close()
        with pytest.raises(SessionClosed):
            session.outcome()


async def test_a_step_whose_answer_is_no_use_has_counted() -> None:
    engine = engine_of(world(isolation="thread"))
    session = await engine.open()
    await session.reset(Reset())
    for how, error in (("raise", ExecutionFailed), ("none", ObservationInvalid), ("nan", RewardInvalid)):
        with pytest.raises(error):
            await session.step(step_of(how))
    assert (session.outcome().steps, session.outcome().total_reward) == (2, 0.0)
    await session.step(step_of())
    assert (session.outcome().steps, session.outcome().total_reward) == (3, 4.0)
    with pytest.raises(RewardInvalid):
        await session.step(step_of("nan_done"))
    assert (session.outcome().phase, session.outcome().done, session.outcome().reward) == ("done", True, None)
    with pytest.raises(ExecutionFailed):
        await session.reset(Reset(options={"how": "raise"}))
    assert (session.outcome().phase, session.outcome().steps, session.outcome().done) == ("fresh", 0, False)
    await engine.aclose()


class Rich(World):
    """Gives rewards of every kind."""

    rewards: list[Any]

    def step(self, action: Any, bonus: int = 0) -> Any:
        found = act("ok", self, 0)
        found.reward = self.rewards.pop(0)
        return found


async def test_rewards_of_every_kind_add_up() -> None:
    numpy = pytest.importorskip("numpy")
    engine = engine_of(world(Rich, rewards=[True, 2, numpy.float32(0.5), None, 1e308, 1e308]))
    session = await engine.open()
    await session.reset(Reset())
    for _ in range(3):
        await session.step(step_of())
    found = session.outcome()
    assert (found.total_reward, found.reward) == (3.5, 0.5)
    assert type(found.reward) is float
    assert msgspec.json.decode(msgspec.json.encode(found))["total_reward"] == 3.5
    for _ in range(3):
        await session.step(step_of())
    assert math.isfinite(session.outcome().total_reward)
    await engine.aclose()


async def test_a_lost_episode_says_so() -> None:
    async with playing(Tools, "thread") as session:
        await session.step(call_of("add"))
        session.episode.phase = type(session.phase).LOST
        assert (session.outcome().phase, session.outcome().steps) == ("lost", 1)
        session.begin_close(Ending.LEASE_EXPIRED)
        await session.close()
        with pytest.raises(EpisodeLost):
            session.outcome()


class Keeping(Environment[Jump, Observation, State]):
    """Takes snapshots and cannot be played again."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self) -> Observation:
        self.at = 0
        return Observation()

    def step(self, action: Jump) -> Observation:
        if action.by > 100:
            raise RuntimeError("too far")
        self.at += action.by
        return Observation(reward=float(action.by), done=self.at > 50)

    def snapshot(self) -> int:
        return self.at

    def restore(self, snapshot: int) -> None:
        self.at = snapshot

    @property
    def state(self) -> State:
        return State(step_count=self.at)


@pytest.mark.parametrize(("cls", "isolation"), [(Plain, "inline"), (Plain, "thread"), (Keeping, "thread")])
async def test_outcome_and_tokens_survive_a_restart(tmp_path: Path, cls: Any, isolation: Isolation) -> None:
    async with playing(cls, isolation, tmp_path) as session:
        stale = session.agent_token()
        await session.step(Step(action={"by": 1}))
        await session.reset(Reset(seed=2, episode_id="E2"))
        await session.step(Step(action={"by": 1}))
        with pytest.raises(ExecutionFailed):
            await session.step(Step(action={"by": 101}))
        await session.step(Step(action={"by": 1}))
        before, token = session.outcome(), session.agent_token()
        assert (before.steps, before.episode_id) == (2, "E2")
        recorded = await events_of(session)
        assert [(one.kind, one.index, one.episode) for one in recorded] == [
            ("reset", 0, "E2"),
            ("step", 1, "E2"),
            ("error", 2, "E2"),
            ("step", 3, "E2"),
        ]
    async with serving(cls, isolation, tmp_path) as engine:
        asleep = engine.recovery.asleep(session.id)
        assert asleep is not None
        assert asleep.admits(token)
        assert not asleep.admits(stale)
        assert len(engine.recovery) == 1  # it was not brought back for that
        woken = await engine.recovery.find(session.id)
        assert engine.recovery.asleep(session.id) is None
        assert woken is not session
        assert woken.outcome() == before
        assert woken.agent_token() == token
        assert woken.admits(token)
        assert not woken.admits(stale)
        assert await events_of(woken) == recorded
        news: list[Any] = []
        woken.watch(news.append)
        await woken.step(Step(action={"by": 1}))
        assert [one.index for one in news] == [4]
        assert (await events_of(woken))[-1].index == 4
        await woken.reset(Reset())
        assert not woken.admits(token)
        assert woken.admits(woken.agent_token())
        assert [one.kind for one in await events_of(woken)] == ["reset"]


async def test_an_episode_with_a_call_that_was_cancelled_is_not_played_again(tmp_path: Path) -> None:
    async with playing(Tools, "thread", tmp_path) as session:
        hearing = Hearing()
        going = asyncio.create_task(session.call_tool("hang", {}, hearing.call))
        await hearing.has_begun()
        session.cancel_call(hearing.call)
        await going
        assert not session.can_come_back
    async with serving(Tools, "thread", tmp_path) as engine:
        with pytest.raises(EpisodeLost):
            await engine.recovery.find(session.id)


@pytest.mark.parametrize("cls", [Plain, Keeping])
async def test_an_episode_that_was_over_is_over_after_a_restart(tmp_path: Path, cls: Any) -> None:
    async with playing(cls, "thread", tmp_path) as session:
        await session.step(Step(action={"by": 60}))
        before = session.outcome()
        assert before.done
    async with serving(cls, "thread", tmp_path) as engine:
        woken = await engine.recovery.find(session.id)
        assert woken.outcome() == before
        with pytest.raises(EpisodeDone):
            await woken.step(Step(action={"by": 1}))


async def test_events_are_those_that_watching_tells(tmp_path: Path) -> None:
    async with playing(Tools, "inline", tmp_path) as session:
        news: list[Moved] = []
        session.watch(lambda one: news.append(one) if isinstance(one, Moved) else None)
        other = news  # the sessions of one journal alternate
        session.move_now(call_of("add"))
        await session.call_tool("add", {})
        events = await events_of(session)
        assert [(one.episode, one.index) for one in events[1:]] == [(one.episode, one.index) for one in other]
        assert [one.reward for one in events] == [None, 1.0, 1.0]
        assert events[1].request["action"]["tool_name"] == "add"
        assert "observation" in events[1].reply
    async with playing(Tools, "inline") as session:
        assert await events_of(session) == []


async def test_a_fork_goes_on_counting() -> None:
    async with serving(Plain, "thread") as engine:
        source = await engine.open()
        await source.reset(Reset(seed=1, episode_id="E"))
        await source.reset(Reset(seed=1, episode_id="E"))
        await source.step(Step(action={"by": 1}))
        fork = await engine.open(source=source)
        assert fork.outcome() == source.outcome()
        await fork.step(Step(action={"by": 1}))
        assert (fork.outcome().steps, source.outcome().steps) == (2, 1)
        assert fork.agent_token() != source.agent_token()
        assert not source.admits(fork.agent_token())
        source.episode.history.spoil()
        with pytest.raises(NotRestorable):
            await engine.open(source=source)


async def test_a_token_is_good_for_one_episode() -> None:
    async with serving(Tools, "thread") as engine:
        session, other = await engine.open(), await engine.open()
        early = session.agent_token()
        assert early.startswith(f"{session.id}.1.")
        assert session.admits(early)
        assert not other.admits(early)
        assert session.token not in early
        await session.reset(Reset(seed=1))
        assert session.admits(early)
        await session.step(call_of("add", by=3))
        assert session.admits(early)
        await session.reset(Reset(seed=1))
        assert not session.admits(early)
        assert session.admits(session.agent_token())
        for wrong in ("", "x", early[:-1], early + "x", "\udc80", session.token):
            assert not session.admits(wrong)
