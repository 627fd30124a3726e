"""The tables of the benchmarks, and what they say of the goals."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from bench.comparing import Better, Comparison
from bench.goals import verdict
from bench.measurement import Row
from bench.report import as_markdown, show
from rich.console import Console

FAST = Row("fast", "a step", "ms", goal=2.0)
SLOW = Row("slow", "a reset", "ms", goal=3.0)
NONE = Row("none", "threads", "", goal=1.0)
FREE = Row("free", "no goal", "ms")
SMALL = Row("small", "memory", "kB", goal=2.0, at_most=4.0)
ZERO = Row("zero", "threads of a session", "", at_most=0)
HALVED = Comparison([10.0], [5.0], Better.LESS)
GONE = Comparison([1.0], [0.0], Better.LESS)
RESULTS = {FAST: HALVED, SLOW: HALVED, NONE: GONE, FREE: Comparison([1.0], [9.0], Better.LESS), ZERO: GONE}


@pytest.mark.parametrize(
    ("rows", "summary"),
    [
        ([FAST, FREE], "1 of 1 goals met."),
        ([FAST, SLOW, NONE, FREE], "1 of 3 goals met; missed: slow; no ratio: none."),
        ([FREE], "0 of 0 goals met."),
        ([ZERO], "1 of 1 goals met."),
    ],
    ids=["met", "missed", "no goal", "nothing is enough"],
)
def test_the_goals_are_summed_up(rows: list[Row], summary: str) -> None:
    screen = Console(file=io.StringIO(), width=120)
    show(screen, {row: RESULTS[row] for row in rows}, {"load": [0.25, 0, 0]}, 5)
    assert isinstance(screen.file, io.StringIO)
    printed = screen.file.getvalue()
    assert printed.splitlines()[-1] == summary
    assert "load 0.25 before" in printed


@pytest.mark.parametrize(
    ("row", "found", "met", "gap"),
    [
        (FAST, HALVED, True, ""),
        (SLOW, HALVED, False, "67% of the goal"),
        (NONE, GONE, None, ""),
        (FREE, HALVED, None, ""),
        (ZERO, GONE, True, ""),
        (ZERO, Comparison([1.0], [0.5], Better.LESS), False, "0.5 too much"),
        (SMALL, Comparison([10.0], [3.0], Better.LESS), True, ""),
        (SMALL, HALVED, False, "1.0 kB too much"),
        (SMALL, Comparison([9.0], [6.0], Better.LESS), False, "75% of the goal, 2.0 kB too much"),
        (SMALL, Comparison([-1.0], [3.0], Better.LESS), None, ""),
    ],
)
def test_a_goal_is_met_or_missed_by_so_much(row: Row, found: Comparison, met: bool | None, gap: str) -> None:
    said = verdict(row, found)
    assert (said.met, said.gap) == (met, gap)


def kept(folder: Path, name: str, load: float, **rows: tuple[float, float]) -> None:
    def row(peer: float, ours: float) -> dict[str, Any]:
        return {"rounds": {"peer": [peer], "ours": [ours]}}

    machine = {"load": [load, 0, 0], "load_after": [load, 0, 0], "processors": 2, "python": "3.11"}
    found = {"rounds": 1, "machine": machine, "rows": {key: row(*numbers) for key, numbers in rows.items()}}
    (folder / f"{name}.json").write_text(json.dumps(found))


def test_the_markdown_has_the_newest_of_each_row(tmp_path: Path) -> None:
    kept(tmp_path, "2026-01-01T100000", 0.5, fast=(10.0, 1.0), slow=(9.0, 4.5))
    kept(tmp_path, "2026-01-02T100000", 1.5, fast=(10.0, 4.0))
    lines = as_markdown([FAST, SLOW, FREE], tmp_path).splitlines()
    assert [line for line in lines if line.startswith("| a ")] == [
        "| a step | 10.0 ms | 4.0 ms | 2.5x | 2.5 to 2.5 | >= 2x | met |",
        "| a reset | 9.0 ms | 4.5 ms | 2.0x | 2.0 to 2.0 | >= 3x | missed: 67% of the goal |",
    ]
    assert lines[-2:] == [
        "Measured 2026-01-02, 1 rounds, load 1.5 to 1.5, 2 processors, Python 3.11.",
        "Measured 2026-01-01, 1 rounds, load 0.5 to 0.5, 2 processors, Python 3.11.",
    ]
