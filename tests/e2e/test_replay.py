"""Recorded runs, played again against real servers, and the environment lock that they carry."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.replay_worlds import game, rollout
from tests.e2e.rollout_worlds import recorded, walk
from tests.unit.record.journals import a_session, an_answer, written

import openenv
from openenv.app.making import embedded
from openenv.app.resolve import Local, resolve
from openenv.errors import ConfigurationError, ConnectFailed, EnvironmentNotFound, RecordError
from openenv.record import EventStore
from openenv.rollout import RolloutSettings, run_rollout
from openenv.rollout.replay import ReplayReport, ReplaySettings, lock_differences, replay_run
from openenv.rollout.target import served

pytestmark = pytest.mark.e2e


async def replay(store: Path, **fields: Any) -> ReplayReport:
    return await replay_run(ReplaySettings(store=store, **fields))


def outcomes(report: ReplayReport) -> set[tuple[str, str]]:
    return {(one.outcome, one.told) for one in report.episodes}


# The same, and not the same ----------------------------------------------------------------------


async def test_what_did_not_change_answers_the_same(tmp_path: Path) -> None:
    target = game(tmp_path)
    out = tmp_path / "runs"
    run_id = await rollout(target, out, reset_options={"level": "{index}"})
    report = await replay(out)
    assert outcomes(report) == {("same", "")}
    assert (report.run, report.environment, report.warnings, report.recorded_as) == (run_id, target, (), "")
    assert (report.deterministic, len(report.episodes)) == (False, 6)
    assert all(one.compared == one.recorded == 5 for one in report.episodes)
    seen: list[tuple[int, int]] = []
    settings = ReplaySettings(store=out, run=run_id[:4], concurrency=2, episode=report.episodes[3].episode)
    alone = await replay_run(settings, on_progress=lambda over, all_: seen.append((over, all_)))
    assert [one.episode for one in alone.episodes] == [report.episodes[3].episode]
    assert seen == [(0, 1), (1, 1)]


@pytest.mark.parametrize("environment", ["echo", "blackjack"])
async def test_environments_of_this_repository(tmp_path: Path, environment: str) -> None:
    settings = RolloutSettings(environment=environment, out=tmp_path, episodes=12, concurrency=4, seed=1, max_steps=5)
    await run_rollout(settings, "random")
    report = await replay(tmp_path)
    assert outcomes(report) == {("same", "")}
    assert report.warnings == ()
    record, _ = recorded(tmp_path)
    lock = record.settings["environment_lock"]
    assert lock["distribution"]["name"] == f"openenv-{environment}"
    assert lock["packages"]["openenv"] == openenv.__version__


async def test_a_changed_environment_is_told_with_its_lock(tmp_path: Path) -> None:
    target = game(tmp_path)
    out = tmp_path / "runs"
    await rollout(target, out)
    game(tmp_path, last="9 if self.turn < 3 else 8")
    report = await replay(out)
    assert outcomes(report) == {("different", "step 3: observation.board[2]: 9 != 8")}
    assert {one.compared for one in report.episodes} == {4}
    (warning,) = report.warnings
    assert warning.startswith("the environment is not the one that was recorded: code: 'sha256:")
    assert "packages" not in warning


async def test_a_nondeterministic_environment_differs(tmp_path: Path) -> None:
    target = game(tmp_path, name="Chance")
    out = tmp_path / "runs"
    async with served(target, 1) as (url, _):
        await rollout(url, out, max_steps=2, concurrency=1, episodes=2)
        report = await replay(out, concurrency=1)
    assert outcomes(report) == {
        ("different", "reset: observation.board[0]: 0 != 6"),
        ("different", "reset: observation.board[0]: 3 != 7"),
    }
    assert report.warnings == ()
    assert report.deterministic is False


async def test_errors_are_played_again(tmp_path: Path) -> None:
    """Some resets fail there, and some second steps."""
    out = tmp_path / "runs"
    target = walk(tmp_path, "Fragile")
    await rollout(target, out, episodes=30)
    _, episodes = recorded(out)
    assert {event.index for events in episodes.values() for event in events if event.kind == "error"} == {0, 2}
    assert outcomes(await replay(out)) == {("same", "")}


async def test_what_agents_break_is_compared_up_to_there(tmp_path: Path) -> None:
    def failing(observation: dict[str, Any]) -> dict[str, Any]:
        if observation["board"][1] == 2:
            raise RuntimeError("no idea")
        return {"by": 1}

    out = tmp_path / "runs"
    await run_rollout(RolloutSettings(environment=game(tmp_path), out=out, episodes=2, seed=1), failing)
    report = await replay(out)
    assert {one.outcome for one in report.episodes} == {"same"}
    assert {(one.compared, one.recorded) for one in report.episodes} == {(3, 4)}
    assert "AGENT_ERROR" in report.episodes[0].told


# Where and what ----------------------------------------------------------------------------------


async def test_a_run_against_a_url_is_replayed_there_or_elsewhere(tmp_path: Path) -> None:
    target = game(tmp_path)
    out = tmp_path / "runs"
    async with served(target, 4) as (url, _):
        await rollout(url, out)
        report = await replay(out)
        assert (outcomes(report), report.environment, report.warnings) == ({("same", "")}, "Game", ())
    with pytest.raises(ConnectFailed, match="name it with --environment"):
        await replay(out)
    elsewhere = await replay(out, environment=target)
    assert (outcomes(elsewhere), elsewhere.environment) == ({("same", "")}, target)


async def test_an_option_that_is_called_lock_is_an_option(tmp_path: Path) -> None:
    target = game(tmp_path)
    await rollout(target, tmp_path / "runs", reset_options={"lock": "mine"})
    _, episodes = recorded(tmp_path / "runs")
    assert {events[0].reply["metadata"]["option"] for events in episodes.values()} == {"mine"}
    assert outcomes(await replay(tmp_path / "runs")) == {("same", "")}


async def test_a_replay_can_be_recorded(tmp_path: Path) -> None:
    target = game(tmp_path)
    first = await rollout(target, tmp_path / "runs")
    report = await replay(tmp_path / "runs", out=tmp_path / "again")
    record, episodes = recorded(tmp_path / "again")
    assert (record.id, record.agent, record.status) == (report.recorded_as, f"replay of {first}", "complete")
    _, before = recorded(tmp_path / "runs")
    assert {name: [event.kind for event in events] for name, events in episodes.items()} == {
        name: [event.kind for event in events] for name, events in before.items()
    }
    assert {name: events[0].request for name, events in episodes.items()} == {
        name: events[0].request for name, events in before.items()
    }
    assert outcomes(await replay(tmp_path / "again")) == {("same", "")}, "it is a run like any other"


async def test_a_journal_is_replayed_like_a_run(tmp_path: Path) -> None:
    target = game(tmp_path)
    lock = {"name": "Game", "digest": "0" * 12, "python": "CPython 2.7.18"}
    answers = await _answers(target, seed=7, episode_id="e1", level=4)
    answers[-1]["observation"]["board"][1] += 1
    requests = [
        {"type": "reset", "session": "s1", "id": 1, "seed": 7, "episode_id": "e1", "options": {"level": 4}},
        {"type": "step", "session": "s1", "id": 2, "action": {"by": 1}},
        {"type": "step", "session": "s1", "id": 3, "action": {"by": 1}},
    ]
    entries = [
        an_answer(index + 1, "reset" if index == 0 else "step", request=_text(request), reply=_text(answers[index]))
        for index, request in enumerate(requests)
    ]
    journal = tmp_path / "journal"
    await written(journal, a_session(**lock), *entries)
    with pytest.raises(EnvironmentNotFound, match="name it with --environment"):
        await replay(journal)  # it knows no more than that echo was served
    report = await replay(journal, environment=target)
    assert outcomes(report) == {("different", "step 2: observation.board[1]: 3 != 2")}
    (warning,) = report.warnings
    assert "python: 'CPython 2.7.18' != 'CPython " in warning
    with pytest.raises(ConfigurationError, match="name another directory with --out"):
        await replay(journal, environment=target, out=journal)


async def _answers(target: str, **arguments: Any) -> list[dict[str, Any]]:
    """A reset and two steps, as frames of replies say them."""
    async with served(target, 1) as (url, _), openenv.GenericEnvClient(url) as client:
        results = [await client.reset(**arguments), await client.step({"by": 1}), await client.step({"by": 1})]
    return [
        {"type": "observed", "observation": one.observation, "reward": one.reward, "metadata": one.metadata}
        for one in results
    ]


def _text(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()


async def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    await rollout(game(tmp_path), tmp_path / "runs", episodes=1)
    for fields, told in (
        ({"run": "zzz"}, "no run 'zzz'"),
        ({"episode": "nope"}, "has no episode 'nope'; it begins with 000000-"),
    ):
        with pytest.raises(RecordError, match=told):
            await replay(tmp_path / "runs", **fields)
    with EventStore.open(tmp_path / "empty", create=True):
        pass
    with pytest.raises(RecordError, match="no runs in"):
        await replay(tmp_path / "empty")
    with pytest.raises(RecordError, match="no events in"):
        await replay(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match="concurrency must be at least 1"):
        ReplaySettings(concurrency=0)


async def test_a_server_that_ends_meanwhile_is_an_error(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    await rollout(game(tmp_path), out, concurrency=1)
    local = resolve(game(tmp_path))
    assert isinstance(local, Local)
    server = await asyncio.to_thread(embedded(local).start)

    def end(over: int, episodes: int) -> None:
        if over == 1:  # the loop waits, so nothing is asked meanwhile
            server.close()

    settings = ReplaySettings(store=out, environment=server.url, concurrency=1)
    try:
        with pytest.raises(ConnectFailed, match="cannot connect"):
            await replay_run(settings, on_progress=end)
    finally:
        server.close()


# The lock ----------------------------------------------------------------------------------------


async def test_every_episode_carries_the_lock(tmp_path: Path) -> None:
    await rollout(game(tmp_path), tmp_path / "runs")
    record, episodes = recorded(tmp_path / "runs")
    lock = record.settings["environment_lock"]
    assert (lock["name"], lock["deterministic"], lock["volatile"]) == ("Game", False, ["at"])
    assert lock["code"]["files"] == 1
    assert len(episodes) == 6
    for events in episodes.values():
        assert events[0].request["lock"] == lock["digest"]
        assert all("lock" not in event.request for event in events[1:])


def test_locks_differ_in_what_matters() -> None:
    lock = {"name": "a", "digest": "x", "notes": [], "packages": {"numpy": "1"}, "image": None}
    code = {"digest": "sha256:" + "a" * 64, "files": 1, "bytes": 2}
    assert (
        lock_differences({**lock, "code": code}, {**lock, "name": "b", "digest": "y", "code": {**code, "files": 3}})
        == []
    )
    other = {**lock, "packages": {"numpy": "2"}, "image": "sha256:1", "code": {**code, "digest": "sha256:" + "b" * 64}}
    assert lock_differences({**lock, "code": code}, other) == [
        "packages.numpy: '1' != '2'",
        "image: None != 'sha256:1'",
        "code: 'sha256:aaaaaaaaaaaa' != 'sha256:bbbbbbbbbbbb'",
    ]
    assert lock_differences({**lock, "code": None}, {**lock, "code": code}) == ["code: None != 'sha256:aaaaaaaaaaaa'"]
