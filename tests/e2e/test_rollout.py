"""Rollouts against real servers: what is played, recorded and counted, whatever goes wrong."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.rollout_worlds import checked, forward, recorded, road_to, walk

from openenv.errors import CapacityReached, ConfigurationError, ConnectFailed, RecordError
from openenv.record import Event
from openenv.rollout import AGENT_ERROR, Progress, RolloutReport, RolloutSettings, plan_episode, run_rollout
from openenv.rollout.target import served

pytestmark = pytest.mark.e2e

SEED = 7


def settings(environment: str, out: Path, **fields: Any) -> RolloutSettings:
    asked = {"episodes": 20, "concurrency": 4, "seed": SEED, "reconnect_delays_s": (0.0, 0.0), **fields}
    return RolloutSettings(environment=environment, out=out, **asked)


def played(episodes: dict[str, list[Event]]) -> dict[str, list[Any]]:
    """What happened, without when."""
    return {name: [(event.kind, event.request, event.reply) for event in events] for name, events in episodes.items()}


async def test_the_same_seed_plays_the_same_episodes_at_any_concurrency(tmp_path: Path) -> None:
    def wandering(observation: dict[str, Any], rng: random.Random) -> dict[str, Any]:
        return {"by": rng.randint(-9, 9)}

    found = []
    async with served(walk(tmp_path), 40) as (url, _):
        for concurrency in (1, 7, 40):
            out = tmp_path / str(concurrency)
            report = await run_rollout(settings(url, out, episodes=60, concurrency=concurrency), wandering)
            assert report.status == "complete"
            assert report.sessions == concurrency
            found.append((played(checked(recorded(out)[1])), report.returns, report.mean_return(), report.steps))
        other = await run_rollout(settings(url, tmp_path / "other", episodes=60, seed=SEED + 1), wandering)
    assert found[0] == found[1] == found[2]
    assert other.returns != found[0][1]
    assert len(set(other.returns)) == 60


async def test_every_step_is_recorded(tmp_path: Path) -> None:
    seen: list[Progress] = []
    target = walk(tmp_path)
    report = await run_rollout(settings(target, tmp_path / "runs"), forward, on_progress=seen.append)
    run, episodes = recorded(tmp_path / "runs")
    checked(episodes)
    assert (run.status, run.environment, run.agent, run.seed) == ("complete", target, "forward", SEED)
    lock = run.settings["environment_lock"]
    assert run.settings == {"episodes": 20, "concurrency": 4, "max_steps": 1000, "environment_lock": lock}
    assert run.ended_at is not None
    assert run.ended_at >= run.started_at
    assert sorted(episodes) == [plan_episode(SEED, index).id for index in range(20)]
    for index in range(20):
        plan = plan_episode(SEED, index)
        reset, *steps, end = episodes[plan.id]
        assert reset.request == {"seed": plan.seed, "episode_id": plan.id, "lock": lock["digest"]}
        assert reset.reply["metadata"] == {"seed": plan.seed, "episode_id": plan.id}
        assert [step.reply["observation"]["place"] for step in steps] == list(range(1, len(steps) + 1))
        assert [step.reply["done"] for step in steps] == [False] * (len(steps) - 1) + [True]
        assert end.reply == {"status": "done"}
        assert report.lengths[index] == len(steps)
        assert report.returns[index] == pytest.approx(sum(step.reply["reward"] for step in steps))
        assert all(event.duration_s > 0 for event in (reset, *steps))
    assert report.steps == sum(report.lengths)
    assert (report.run, report.finished, report.failed, report.stopped_by) == (run.id, 20, 0, ())
    assert (seen[0].played, seen[-1].played, seen[-1].steps) == (0, 20, report.steps)
    assert seen[-1].mean_return == pytest.approx(report.mean_return().mean)


async def test_all_sessions_play_at_once(tmp_path: Path) -> None:
    gate = asyncio.Barrier(32)  # opens when 32 episodes wait for their action

    async def together(observation: dict[str, Any]) -> dict[str, Any]:
        await gate.wait()
        return {"by": 1}

    asked = settings(walk(tmp_path, "Endless"), tmp_path / "runs", episodes=64, concurrency=32, max_steps=3)
    report = await run_rollout(asked, together)
    assert (report.finished, report.cut, report.steps) == (64, 64, 192)
    _, episodes = recorded(tmp_path / "runs")
    assert {events[-1].reply["truncated_by"] for events in checked(episodes).values()} == {"max_steps"}


async def test_the_random_agent_plays_what_the_schema_says(tmp_path: Path) -> None:
    report = await run_rollout(settings(walk(tmp_path), tmp_path / "runs"), "random")
    run, episodes = recorded(tmp_path / "runs")
    assert (report.finished, run.agent) == (20, "random")
    actions = {
        event.request["action"]["by"] for events in episodes.values() for event in events if event.kind == "step"
    }
    assert len(actions) > 5


async def test_an_environment_that_fails_is_counted_by_kind(tmp_path: Path) -> None:
    report = await run_rollout(settings(walk(tmp_path, "Fragile"), tmp_path / "runs", episodes=60), forward)
    run, episodes = recorded(tmp_path / "runs")
    checked(episodes)
    seeds = [plan_episode(SEED, index).seed for index in range(60)]
    at_reset = sum(seed % 5 == 0 for seed in seeds)
    at_step = sum(seed % 5 != 0 and seed % 3 == 0 for seed in seeds)
    assert at_reset > 0
    assert at_step > 0
    assert report.errors == {"EXECUTION_ERROR": at_reset + at_step}
    assert (report.finished, report.status, run.status) == (60 - report.failed, "complete", "complete")
    assert report.steps == 3 * report.finished + at_step
    assert 0 < report.failure_rate().low < report.failed / 60 < report.failure_rate().high < 1
    for index, seed in enumerate(seeds):
        events = episodes[plan_episode(SEED, index).id]
        if seed % 5 == 0 or seed % 3 == 0:
            assert events[-1].reply == {"status": "failed"}
            assert events[-2].kind == "error"
            assert events[-2].reply["code"] == "EXECUTION_ERROR"
            assert ("no such road" if seed % 5 == 0 else "lost the way") in events[-2].reply["message"]


async def test_an_agent_that_fails_ends_its_episode_only(tmp_path: Path) -> None:
    def moody(observation: dict[str, Any], rng: random.Random) -> Any:
        mood = rng.random()
        if mood < 0.2:
            raise KeyError("by")
        return "forward" if mood < 0.3 else {"to": 1} if mood < 0.4 else {"by": 1}

    report = await run_rollout(settings(walk(tmp_path), tmp_path / "runs", episodes=60), moody)
    _, episodes = recorded(tmp_path / "runs")
    errors = [event.reply for events in checked(episodes).values() for event in events if event.kind == "error"]
    assert report.errors == Counter(error["code"] for error in errors)
    assert set(report.errors) == {AGENT_ERROR, "VALIDATION_ERROR"}
    assert report.finished == 60 - len(errors) > 0
    own = [error for error in errors if error["code"] == AGENT_ERROR]
    assert {error["message"] for error in own} == {
        "KeyError: 'by'",
        "TypeError: the agent must return an action as a dict, not str: 'forward'",
    }
    assert all("moody" in error["details"]["traceback"] for error in own if error["details"]["type"] == "KeyError")


async def test_a_broken_connection_costs_no_episode(tmp_path: Path) -> None:
    asked = 0
    # more places than sessions: the server may notice the cut only after they are back
    async with served(walk(tmp_path, "Endless"), 8) as (url, _), road_to(url) as (road, address):

        def cutting(observation: dict[str, Any]) -> dict[str, Any]:
            nonlocal asked
            asked += 1
            if asked == 30:
                road.cut()
            return {"by": 1}

        report = await run_rollout(settings(address, tmp_path / "runs", max_steps=5), cutting)
    _, episodes = recorded(tmp_path / "runs")
    checked(episodes)
    assert (report.status, len(episodes), report.finished, report.failed) == ("complete", 20, 20, 0)
    assert not report.errors
    assert road.connections == 8 + 5  # each session came back once, and the lock is read at first and for each of those
    # no episode was begun again
    assert all([event.kind for event in events].count("reset") <= 1 for events in episodes.values())


async def test_a_server_that_is_gone_stops_the_run_with_what_there_is(tmp_path: Path) -> None:
    asked = 0
    async with served(walk(tmp_path, "Endless"), 4) as (url, _), road_to(url) as (road, address):

        def closing_down(observation: dict[str, Any]) -> dict[str, Any]:
            nonlocal asked
            asked += 1
            if asked == 60:
                road.close()
            return {"by": 1}

        limits = {"max_steps": 5, "episodes": 100, "reconnect_timeout_s": 0.5}
        report = await run_rollout(settings(address, tmp_path / "runs", **limits), closing_down)
    run, episodes = recorded(tmp_path / "runs")
    checked(episodes)
    (error,) = report.stopped_by
    assert isinstance(error, ConnectFailed)
    assert "is gone" in str(error)
    assert (report.status, run.status) == ("failed", "failed")
    assert 8 <= report.finished <= 12
    assert report.finished + report.failed == len(episodes) < 100
    assert 1 <= report.failed <= 4


async def test_a_server_without_enough_places_is_explained(tmp_path: Path) -> None:
    async with served(walk(tmp_path), 3) as (url, _):
        with pytest.raises(CapacityReached, match=r"places for 3 sessions; .* --concurrency 3, .* --max-sessions 5$"):
            await run_rollout(settings(url, tmp_path / "runs", concurrency=5), forward)
        # the places are free again, and nothing was recorded
        assert not (tmp_path / "runs").exists()
        assert (await run_rollout(settings(url, tmp_path / "runs", concurrency=3), forward)).finished == 20


async def test_an_environment_for_one_session_takes_one(tmp_path: Path) -> None:
    target = walk(tmp_path, "Alone")
    report = await run_rollout(settings(target, tmp_path / "runs", concurrency=1, episodes=2, max_steps=2), forward)
    assert report.finished == 2
    more = await run_rollout(settings(target, tmp_path / "more", concurrency=2, episodes=2, max_steps=2), forward)
    assert more.finished == 2  # each session in a process of its own


async def test_a_run_that_is_told_to_stop_keeps_what_there_is(tmp_path: Path) -> None:
    stop = asyncio.Event()
    asked = 0

    async def patient(observation: dict[str, Any]) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        if asked > 40:
            stop.set()
            await asyncio.Event().wait()  # for ever, until it is cancelled
        return {"by": 1}

    report = await run_rollout(settings(walk(tmp_path, "Endless"), tmp_path / "runs", max_steps=5), patient, stop=stop)
    run, episodes = recorded(tmp_path / "runs")
    checked(episodes)
    assert (report.status, run.status, report.stopped_by) == ("interrupted", "interrupted", ())
    ends = Counter(events[-1].reply["status"] for events in episodes.values())
    assert ends == {"done": report.finished, "interrupted": report.interrupted}
    assert report.interrupted > 0
    assert report.steps == sum(event.kind == "step" for events in episodes.values() for event in events)
    assert 36 < report.steps <= 40  # three sessions may have been waiting for an answer


async def test_a_cancelled_run_is_recorded_as_interrupted(tmp_path: Path) -> None:
    playing = asyncio.Event()

    async def patient(observation: dict[str, Any]) -> dict[str, Any]:
        playing.set()
        await asyncio.Event().wait()
        return {}

    run = asyncio.create_task(run_rollout(settings(walk(tmp_path), tmp_path / "runs"), patient))
    await playing.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert recorded(tmp_path / "runs")[0].status == "interrupted"


async def test_a_store_that_fails_stops_the_run(tmp_path: Path) -> None:
    broken = False

    def breaking(observation: dict[str, Any]) -> dict[str, Any]:
        nonlocal broken
        if not broken:
            broken = True
            with closing(sqlite3.connect(tmp_path / "runs" / "events.sqlite", isolation_level=None)) as store:
                store.execute("DROP TABLE events")
        return {"by": 1}

    report: RolloutReport = await run_rollout(
        settings(walk(tmp_path, "Endless"), tmp_path / "runs", max_steps=10**9), breaking
    )
    assert report.status == "failed"
    (error,) = report.stopped_by
    assert isinstance(error, RecordError)
    assert "not stored" in str(error)


async def test_an_error_of_the_caller_is_not_swallowed(tmp_path: Path) -> None:
    def faulty(progress: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run_rollout(settings(walk(tmp_path), tmp_path / "runs"), forward, on_progress=faulty)


async def test_what_cannot_begin_leaves_no_run(tmp_path: Path) -> None:
    for wrong, agent, error in (
        ("http://127.0.0.1:1", forward, ConnectFailed),
        ("http://127.0.0.1:1", "random", ConnectFailed),
        ("no-such-environment", forward, ConfigurationError),
        (walk(tmp_path), "no_such_module:agent", ConfigurationError),
    ):
        with pytest.raises(error):
            await run_rollout(settings(wrong, tmp_path / "runs"), agent)
    assert not (tmp_path / "runs").exists()


async def test_a_store_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file", encoding="utf-8")
    with pytest.raises(RecordError, match="cannot make the directory"):
        await run_rollout(settings(walk(tmp_path), tmp_path / "runs"), forward)
