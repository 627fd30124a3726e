"""The table of the benchmarks and the sentence below it."""

from __future__ import annotations

import io

import pytest
from bench.comparing import Better, Comparison
from bench.measurement import Row
from bench.report import show
from rich.console import Console

FAST = Row("fast", "a step", "ms", goal=2.0)
SLOW = Row("slow", "a reset", "ms", goal=3.0)
ZERO = Row("zero", "threads", "", goal=1.0)
FREE = Row("free", "no goal", "ms")
RESULTS = {
    FAST: Comparison([10.0], [5.0], Better.LESS),
    SLOW: Comparison([10.0], [5.0], Better.LESS),
    ZERO: Comparison([1.0], [0.0], Better.LESS),
    FREE: Comparison([1.0], [9.0], Better.LESS),
}


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([FAST, FREE], "1 of 1 goals met."),
        ([FAST, SLOW, ZERO, FREE], "1 of 3 goals met; missed: slow; no ratio: zero."),
        ([FREE], "0 of 0 goals met."),
    ],
    ids=["met", "missed", "none"],
)
def test_the_goals_are_summed_up(rows: list[Row], verdict: str) -> None:
    screen = Console(file=io.StringIO(), width=120)
    show(screen, {row: RESULTS[row] for row in rows}, {"load": [0.25, 0, 0]}, 5)
    assert isinstance(screen.file, io.StringIO)
    printed = screen.file.getvalue()
    assert printed.splitlines()[-1] == verdict
    assert "load 0.25 before" in printed
