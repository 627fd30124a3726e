"""``openenv plot`` over stores that are made here."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from openenv.cli.plot import plot
from openenv.errors import ConfigurationError, MissingExtra, RecordError
from openenv.record import EndStatus, Event, EventStore, Run

app = typer.Typer()
app.command()(plot)


def an_episode(run: str, at: float, reward: float, status: EndStatus = "done") -> list[Event]:
    name = f"e{at}"
    reply = {"observation": {}, "reward": reward, "done": True}
    return [
        Event(run, name, 0, "reset", at, 0.1, {}, {**reply, "reward": None}),
        Event(run, name, 1, "step", at, 0.1, {"action": {}}, reply),
        Event(run, name, 2, "end", at, 0.0, {}, {"status": status}),
    ]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three runs, two of one agent; the newest has an episode that failed."""
    with EventStore.open(tmp_path / "runs", create=True) as events:
        for number, (id_, agent) in enumerate([("aa1", "best"), ("ab2", "random"), ("b3", "random")]):
            events.begin_run(Run(id=id_, started_at=100.0 + number, environment="walk", agent=agent))
            for place in range(5):
                events.append(an_episode(id_, 10.0 * place, float(number + place % 2)))
        events.append(an_episode("b3", 99.0, 50.0, "failed"))
        events.begin_run(Run(id="old", started_at=1.0, environment="swim", agent="best"))
        events.append(an_episode("old", 1.0, 1.0, "interrupted"))
    return tmp_path


def run(store: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--store", str(store / "runs"), "--out", str(store / "out")])


def legend(store: Path) -> list[str]:
    words = re.findall("<!-- (.*?) -->", (store / "out" / "overview.svg").read_text(encoding="utf-8"))
    return [word for word in words if "n = " in word]


def test_the_newest_run_is_drawn_and_every_file_is_named(store: Path) -> None:
    result = run(store)
    assert result.exit_code == 0, result.output
    written = [Path(line) for line in result.stdout.splitlines()]
    assert [path.name for path in written] == ["overview.png", "running_mean.png", "returns.png", "lengths.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


def test_runs_are_told_apart_and_what_failed_is_left_out(store: Path) -> None:
    assert run(store, "aa", "b", "ab", "b3", "--format", "svg").exit_code == 0
    # five rewards 0, 1, 0, 1, 0 more than the number of the run: s = √0.3, t(4) = 2.7764
    assert [line.strip() for line in legend(store)] == [
        "best:  mean return 0.40 ± 0.68,  n = 5",
        "random, run b3:  mean return 2.40 ± 0.68,  n = 5 (1 unfinished left out)",
        "random, run ab2:  mean return 1.40 ± 0.68,  n = 5",
    ]


@pytest.mark.parametrize(
    ("arguments", "kind", "told"),
    [
        (["a"], RecordError, "several runs"),
        (["zz"], RecordError, "no run 'zz'"),
        (["aa1", "old"], ConfigurationError, "run swim, best has no finished episode"),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_said(store: Path, arguments: list[str], kind: type[Exception], told: str) -> None:
    error = run(store, *arguments).exception
    assert isinstance(error, kind)
    assert told in str(error)
    assert not (store / "out").exists()


def test_an_empty_store_says_how_to_fill_it(tmp_path: Path) -> None:
    EventStore.open(tmp_path / "runs", create=True).close()
    error = run(tmp_path).exception
    assert isinstance(error, RecordError)
    assert "record one with" in str(error)


def test_without_matplotlib_the_extra_is_named(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert isinstance(run(store).exception, MissingExtra)
