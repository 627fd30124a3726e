"""Whether a row reached what it was to reach, and by how much it did not."""

from __future__ import annotations

from dataclasses import dataclass

from bench.comparing import Comparison
from bench.measurement import Row

__all__ = ["Verdict", "verdict"]


@dataclass(frozen=True)
class Verdict:
    """What is to be said of a row's goals.

    Attributes:
        goal: The goals in words; empty without one.
        met: Whether all were; ``None`` without one, or where there is no ratio to tell.
        gap: By how much the goals were missed, in words; empty where none was.
    """

    goal: str
    met: bool | None
    gap: str


def verdict(row: Row, found: Comparison) -> Verdict:
    """The row's goals beside what was found. Of a row with both kinds, each has to be met."""
    goals, gaps = [], []
    met: list[bool | None] = []
    if row.goal is not None:
        goals.append(f">= {row.goal:g}x")
        met.append(None if found.ratio is None else found.ratio >= row.goal)
        if found.ratio is not None and found.ratio < row.goal:
            gaps.append(f"{found.ratio / row.goal:.0%} of the goal")
    if row.at_most is not None:
        goals.append(f"<= {row.at_most:g} {row.unit}".rstrip())
        met.append(found.our_median <= row.at_most)
        if found.our_median > row.at_most:
            gaps.append(f"{found.our_median - row.at_most:.1f} {row.unit} too much".replace("  ", " "))
    all_met = False if False in met else None if None in met or not met else True
    return Verdict(", ".join(goals), all_met, ", ".join(gaps))
