"""A rollout as people see it."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from openenv.rollout import Progress, RolloutReport
from openenv.rollout.display import number, report_table, shown_progress


def a_progress(**fields: Any) -> Progress:
    values = {"episodes": 1000, "finished": 240, "failed": 10, "steps": 800, "mean_return": -0.25, "elapsed_s": 2.0}
    return Progress(**{**values, **fields})


def a_report(**fields: Any) -> RolloutReport:
    values: dict[str, Any] = {
        "run": "abc123",
        "store": Path("runs"),
        "environment": "blackjack",
        "agent": "random",
        "seed": 7,
        "sessions": 4,
        "status": "complete",
        "stopped_by": (),
        "episodes": 4,
        "returns": (1.0, -1.0, 1.0, -1.0),
        "lengths": (1, 2, 3, 2),
        "cut": 0,
        "errors": {},
        "interrupted": 0,
        "steps": 8,
        "elapsed_s": 2.0,
    }
    return RolloutReport(**{**values, **fields})


def printed(report: RolloutReport) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    console.print(report_table(report))
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.strip("│ ").split()) for line in console.file.getvalue().splitlines()]


def test_a_report_has_its_numbers() -> None:
    lines = printed(a_report())
    # s = √(4/3), t(3) = 3.1824: 3.1824 · √(4/3) / 2 = 1.837
    assert "mean return │ +0.000 (-1.837 to +1.837 with 95 % confidence)" in lines
    assert "mean length │ 2.00 steps (0.70 to 3.30 with 95 % confidence)" in lines
    assert "speed │ 2 episodes/s, 4 steps/s" in lines
    assert "episodes │ 4 finished" in lines
    assert "seed │ 7" in lines
    assert "run │ abc123 in runs" in lines
    assert not any("failure rate" in line for line in lines)


def test_what_went_wrong_is_counted_by_kind_the_most_frequent_first() -> None:
    report = a_report(status="failed", episodes=30, errors={"AGENT_ERROR": 2, "EPISODE_LOST": 4}, interrupted=3, cut=1)
    lines = printed(report)
    assert "episodes │ 4 finished, 6 failed, 3 interrupted, 17 not begun" in lines
    assert lines.index("EPISODE_LOST │ 4") < lines.index("AGENT_ERROR │ 2")
    # Wilson's interval of 6 in 10
    assert "failure rate │ 31 % to 83 % (95 %)" in lines
    assert "cut by --max-steps │ 1 of them; they count in the means" in lines


def test_a_failure_rate_of_all_is_written_as_one() -> None:
    report = a_report(status="failed", returns=(), lengths=(), episodes=2, errors={"EPISODE_LOST": 2})
    # Wilson's interval of 2 in 2 ends at 1
    assert "failure rate │ 34 % to 100 % (95 %)" in printed(report)


def test_one_episode_and_none() -> None:
    assert "mean return │ +2.000 (one episode, so no interval)" in printed(a_report(returns=(2.0,), lengths=(1,)))
    lines = printed(a_report(returns=(), lengths=(), steps=0, elapsed_s=0.0))
    assert "mean return │ none: no episode was finished" in lines
    assert "speed │ 0 episodes/s, 0 steps/s" in lines


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "+0.500"), (-12.3456, "-12.346"), (math.nan, "-"), (123456789.0, "+1.23457e+08")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_a_log_gets_plain_lines_now_and_then() -> None:
    now = 0.0
    console = Console(file=io.StringIO(), width=40)
    with shown_progress(console, "[blackjack] · random", clock=lambda: now) as show:
        for now in (0.0, 1.0, 9.9, 10.0, 11.0, 21.0):
            show(a_progress(elapsed_s=max(now, 1.0), failed=10 if now < 20 else 0))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "[blackjack] · random: 250 of 1,000 episodes, 10 failed, 25 episodes/s, mean return -0.250",
        "[blackjack] · random: 240 of 1,000 episodes, 11 episodes/s, mean return -0.250",
    ]


def test_a_terminal_gets_a_bar_that_leaves_nothing_behind() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with shown_progress(console, "[blackjack]") as show:
        show(a_progress())
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for part in ("[blackjack]", "250/1000", "125 episodes/s", "mean return -0.250", "10 failed"):
        assert part in text
    assert text.endswith("\x1b[1A\x1b[2K")


def test_the_rate_of_a_run_that_has_not_begun() -> None:
    assert a_progress(elapsed_s=0.0).episodes_per_s == 0
