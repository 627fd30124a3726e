"""``openenv trajectories`` over stores that are made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from openenv.cli.trajectories import trajectories
from openenv.errors import RecordError
from openenv.record import Event, EventStore, Run


def an_episode(run: str, name: str, at: float, *, failed: bool = False, reward: float = 1.0) -> list[Event]:
    reply: dict[str, Any] = {"observation": {"hand": 12}, "reward": None, "done": False}
    if failed:
        last = Event(
            run, name, 1, "error", at + 1, 0.5, {"action": {"move": "hit"}}, {"code": "BUSY", "message": "full"}
        )
    else:
        last = Event(run, name, 1, "step", at + 1, 0.5, {"action": {"move": "hit"}}, {**reply, "reward": reward})
    return [
        Event(run, name, 0, "reset", at, 0.25, {"seed": 7, "episode_id": name}, reply),
        last,
        Event(run, name, 2, "end", at + 2, 0.0, {}, {"status": "failed" if failed else "done"}),
    ]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two runs; in the newer one the episode that began first was stored last."""
    with EventStore.open(tmp_path, create=True) as events:
        events.begin_run(Run(id="aaa1", started_at=100.0, environment="echo", agent="random"))
        events.begin_run(Run(id="aab2", started_at=200.0, environment="blackjack", agent="best", seed=3))
        events.append(an_episode("aaa1", "only", 100.0))
        events.append(an_episode("aab2", "second", 202.0, failed=True))
        events.append(an_episode("aab2", "third", 203.0, reward=-2.0))
        events.append(an_episode("aab2", "first", 201.0, reward=1.0))
        events.end_run("aab2", "complete", 210.0)
    return tmp_path


def run(store: Path, *arguments: str) -> Result:
    return CliRunner().invoke(trajectories, [*arguments, "--store", str(store)])


def test_runs_are_listed_newest_first(store: Path) -> None:
    lines = [" ".join(line.strip("│").replace("│", " ").split()) for line in run(store, "list").stdout.splitlines()]
    newer = next(line for line in lines if line.startswith("aab2"))
    older = next(line for line in lines if line.startswith("aaa1"))
    assert lines.index(newer) < lines.index(older)
    assert newer.endswith("complete blackjack best 3, 1 failed -0.500")
    assert older.endswith("running echo random 1 +1.000")


def test_a_list_has_an_end(store: Path) -> None:
    result = run(store, "list", "--limit", "1")
    assert "aaa1" not in result.stdout
    assert "1 older" in result.stderr


def test_the_newest_run_and_its_first_episode_are_shown(store: Path) -> None:
    shown = run(store, "show").stdout
    assert "run aab2" in shown
    assert "episode first" in shown
    assert "seed 7" in shown
    step = next(line for line in shown.splitlines() if '{"move":"hit"}' in line)
    assert [cell.strip() for cell in step.strip("│").split("│")] == [
        "1",
        '{"move":"hit"}',
        '{"hand":12}',
        "+1.000",
        "500.0",
    ]


@pytest.mark.parametrize(
    ("arguments", "episode"),
    [
        (["aab2", "--index", "1"], "second"),
        (["aab", "--index", "2"], "third"),
        (["--failed"], "second"),
        (["aaa1"], "only"),
        (["--episode", "third"], "third"),
    ],
    ids=str,
)
def test_episodes_are_chosen(store: Path, arguments: list[str], episode: str) -> None:
    assert f"episode {episode}" in run(store, "show", *arguments).stdout


def test_an_error_is_shown_where_it_happened(store: Path) -> None:
    assert "BUSY: full" in run(store, "show", "--failed").stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["aa"], "several runs"),
        (["zz"], "no run 'zz'"),
        (["--index", "3"], "no episode 3; the last is 2"),
        (["aaa1", "--failed"], "no failed episode"),
        (["--episode", "fourth"], "no episode 'fourth'"),
    ],
    ids=str,
)
def test_what_is_not_there_is_said(store: Path, arguments: list[str], told: str) -> None:
    error = run(store, "show", *arguments).exception
    assert isinstance(error, RecordError)
    assert told in str(error)


def test_an_episode_is_named_once(store: Path) -> None:
    assert run(store, "show", "--episode", "third", "--index", "0").exit_code == 2


def test_an_empty_store(tmp_path: Path) -> None:
    EventStore.open(tmp_path, create=True).close()
    error = run(tmp_path, "show").exception
    assert isinstance(error, RecordError)
    assert "record one with" in str(error)


def test_export_writes_every_event_of_the_run(store: Path, tmp_path: Path) -> None:
    exported = run(store, "export").stdout.splitlines()
    assert [(line["episode"], line["index"]) for line in map(json.loads, exported)] == [
        (episode, index) for episode in ("second", "third", "first") for index in range(3)
    ]
    out = tmp_path / "events.jsonl"
    assert "3 events" in run(store, "export", "aaa1", "--output", str(out)).stderr
    assert len(out.read_text(encoding="utf-8").splitlines()) == 3


def test_a_file_that_cannot_be_written(store: Path) -> None:
    error = run(store, "export", "--output", str(store)).exception
    assert isinstance(error, RecordError)
    assert "choose another --output" in str(error)
