"""``openenv trajectories`` over stores that are made here."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from openenv.cli.trajectories import trajectories
from openenv.errors import MissingExtra, RecordError
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
    lines = shown.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("── step 1 "))
    assert lines[at].endswith(" reward +1.000 · 500.0 ms")
    assert lines[at + 1 : at + 5] == ["action", "  move: hit", "observation", "  hand: 12"]
    assert "\x1b" not in shown


def test_long_texts_are_cut_unless_they_are_asked_for(tmp_path: Path) -> None:
    reply = {"observation": {"stdout": "\n".join(map(str, range(1000)))}, "reward": None, "done": False}
    with EventStore.open(tmp_path, create=True) as events:
        events.begin_run(Run(id="r", started_at=100.0, environment="coding", agent="best"))
        events.append([Event("r", "e", 0, "reset", 100.0, 0.1, {}, reply)])
    cut, full = (run(tmp_path, "show", *more).stdout for more in ((), ("--full",)))
    assert "960 lines" in cut
    assert "│ 500" not in cut
    assert "│ 500" in full
    assert "left out" not in full


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


def test_export_to_parquet(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "events.parquet"
    result = run(store, "export", "aab2", "--format", "parquet", "--output", str(out))
    assert "9 events of run aab2" in result.stderr
    rows = pq.read_table(out).to_pylist()
    assert [(row["episode"], row["index"]) for row in rows] == [
        (episode, index) for episode in ("second", "third", "first") for index in range(3)
    ]
    assert json.loads(rows[4]["request"]) == {"action": {"move": "hit"}}
    assert (rows[4]["reward"], rows[4]["done"]) == (-2.0, False)


def test_parquet_needs_a_file(store: Path) -> None:
    result = run(store, "export", "--format", "parquet")
    assert result.exit_code == 2
    assert "--output" in result.stderr


def test_without_pyarrow_the_extra_is_named_and_nothing_is_written(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    out = tmp_path / "out" / "x.parquet"
    out.parent.mkdir()
    assert isinstance(run(store, "export", "--format", "parquet", "-o", str(out)).exception, MissingExtra)
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_a_file_that_was_there_stays_until_the_new_one_is_whole(store: Path, tmp_path: Path, format: str) -> None:
    out = tmp_path / "out" / "events"
    out.parent.mkdir()
    out.write_text("before", encoding="utf-8")
    with closing(sqlite3.connect(store / "events.sqlite")) as damaging, damaging:
        damaging.execute("UPDATE events SET reply = '{' WHERE position = 2")
    error = run(store, "export", "--format", format, "-o", str(out)).exception
    assert isinstance(error, RecordError)
    assert "damaged" in str(error)
    assert out.read_text(encoding="utf-8") == "before"
    assert list(out.parent.iterdir()) == [out]


def test_a_link_stays_a_link_and_a_device_a_device(store: Path, tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("", encoding="utf-8")
    link.symlink_to(target)
    assert run(store, "export", "aaa1", "-o", str(link)).exit_code == 0
    assert link.is_symlink()
    assert len(target.read_text(encoding="utf-8").splitlines()) == 3
    assert run(store, "export", "aaa1", "-o", "/dev/null").exit_code == 0
    assert Path("/dev/null").is_char_device()


def test_a_file_that_cannot_be_written(store: Path) -> None:
    error = run(store, "export", "--output", str(store)).exception
    assert isinstance(error, RecordError)
    assert "choose another --output" in str(error)
