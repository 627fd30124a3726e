"""Figures of runs: which files there are, that they do not change, and what is drawn."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest

import openenv
from openenv.errors import ConfigurationError, MissingExtra
from openenv.rollout.plot import PlottedRun, write_figures

NAMES = ["overview", "running_mean", "returns", "lengths"]


def a_run(label: str = "random", episodes: int = 60, left_out: int = 0) -> PlottedRun:
    rng = random.Random(label)
    return PlottedRun(
        label,
        tuple(rng.gauss(5, 2) for _ in range(episodes)),
        tuple(rng.randint(1, 90) for _ in range(episodes)),
        left_out,
    )


def texts(directory: Path, runs: list[PlottedRun], title: str = "lander") -> str:
    """The words of the overview, which an SVG holds as comments beside their outlines."""
    (path, *_) = write_figures(runs, title, directory, "svg")
    return "\n".join(re.findall("<!-- (.*?) -->", path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("file_format", ["png", "svg"])
def test_the_same_runs_give_the_same_files_whatever_the_user_has_set(tmp_path: Path, file_format: str) -> None:
    runs = [a_run("best"), a_run("random", left_out=2)]
    first = write_figures(runs, "lander", tmp_path / "first", file_format)
    with mpl.rc_context({"font.size": 30, "svg.hashsalt": "other", "xtick.major.size": 20}):
        again = write_figures(runs, "lander", tmp_path / "again", file_format)
        assert mpl.rcParams["font.size"] == 30
    assert [path.name for path in first] == [f"{name}.{file_format}" for name in NAMES]
    for one, other in zip(first, again, strict=True):
        content = one.read_bytes()
        assert content == other.read_bytes()
        assert content.startswith(b"\x89PNG" if file_format == "png" else b"<?xml")
        assert b"Software" not in content
        assert b"dc:date" not in content
    assert len({path.read_bytes() for path in first}) == 4


def test_other_runs_give_another_picture(tmp_path: Path) -> None:
    one = write_figures([a_run("best")], "lander", tmp_path / "one")
    other = write_figures([a_run("best", episodes=61)], "lander", tmp_path / "other")
    assert all(a.read_bytes() != b.read_bytes() for a, b in zip(one, other, strict=True))


def test_title_legend_and_axes_say_what_is_drawn(tmp_path: Path) -> None:
    steady = PlottedRun(r"a $\frac$ _b", (1.0, 2.0, 3.0, 4.0), (1, 2, 3, 4), left_out=3)
    found = texts(tmp_path, [steady, PlottedRun("_hidden", (7.0,), (2,))])
    # s = 1.29, t(3) = 3.1824, so 2.5 ± 2.05
    assert r"a $\frac$ _b:  mean return 2.5 ± 2.1,  n = 4 (3 unfinished left out)" in found
    assert "_hidden:  mean return 7,  n = 1" in found
    for words in (
        "lander",
        "mean return (sum of rewards)",
        "finished episodes, in the order in which they began",
        "share of episodes (%)",
        "return (sum of rewards); ▼ mean",
        "length (steps); ▼ mean",
        "Running mean of the return, with its 95 % interval",
    ):
        assert words in found


@pytest.mark.parametrize(
    "run",
    [
        PlottedRun("one", (1.0,), (4,)),
        PlottedRun("all alike", (0.0,) * 30, (4,) * 30),
        PlottedRun("two", (-1e12, 1e12), (1, 1000)),
        PlottedRun("no steps", (0.0, 0.0, 0.0), (0, 0, 0)),
    ],
    ids=lambda run: run.label,
)
def test_odd_runs_are_drawn_without_a_warning(tmp_path: Path, run: PlottedRun) -> None:
    assert len(write_figures([run], "echo", tmp_path)) == 4
    assert len(write_figures([run, a_run()], "echo", tmp_path)) == 4


def test_many_runs_and_letters_that_the_font_has_not(tmp_path: Path) -> None:
    runs = [a_run(f"agent {index}", 20) for index in range(8)]
    found = texts(tmp_path, [*runs, a_run("玩家", 20)], title="月球")
    assert all(f"agent {index}:" in found for index in range(8))
    colours = re.findall(r"stroke: (#[0-9a-f]{6}); stroke-width: 3", (tmp_path / "overview.svg").read_text("utf-8"))
    assert len(set(colours)) == 6  # then dashes tell them apart


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no runs to plot"):
        write_figures([], "echo", tmp_path)
    with pytest.raises(ConfigurationError, match="run bad has no finished episode"):
        write_figures([a_run(), PlottedRun("bad", (), (), 3)], "echo", tmp_path)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="choose another --out"):
        write_figures([a_run()], "echo", tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'openenv\[plot\]'"):
        write_figures([a_run()], "echo", tmp_path)


def test_matplotlib_is_imported_when_something_is_drawn_and_needs_no_display() -> None:
    source = str(Path(openenv.__file__).parents[1])
    code = (
        f"import sys; sys.path.insert(0, {source!r}); import openenv.rollout.plot; "
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
