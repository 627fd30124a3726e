"""What a measurement is: rows of the table, and a way to take one number a row on either side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from bench.comparing import Better, Comparison
from bench.sides import Side

__all__ = ["Measurement", "Row", "Sample", "compare"]

Sample = Callable[[], Sequence[float]]
"""Takes the numbers of one round, one for each row."""


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        name: For the command line and the JSON.
        what: What is measured, for people.
        unit: Of the numbers.
        better: Which way they are good.
        goal: How many times better ours is to be, where there is a goal.
    """

    name: str
    what: str
    unit: str
    better: Better = Better.LESS
    goal: float | None = None


@dataclass(frozen=True)
class Measurement:
    """Rows that are measured together.

    Attributes:
        rows: What comes out.
        prepare: Readies one side, such as by starting its server; the sample it gives is taken once a round.
        warm_up: Whether one sample of each side is thrown away first.
        repeats: Whether another round can give another number.
    """

    rows: tuple[Row, ...]
    prepare: Callable[[Side], AbstractContextManager[Sample]]
    warm_up: bool = True
    repeats: bool = True


def compare(
    measurement: Measurement, sides: tuple[Side, Side], rounds: int, say: Callable[[str], None]
) -> dict[Row, Comparison]:
    """Measure the peer's side and ours in turn: A B A B, so that what slows the machine slows both."""
    rounds = rounds if measurement.repeats else 1
    with ExitStack() as stack:
        samples = [stack.enter_context(measurement.prepare(side)) for side in sides]
        if measurement.warm_up:
            for sample in samples:
                sample()
        taken: tuple[list[Sequence[float]], ...] = tuple([] for _ in sides)
        for number in range(1, rounds + 1):
            say(f"{measurement.rows[0].name}: round {number} of {rounds}")
            for numbers, sample in zip(taken, samples, strict=True):
                numbers.append(sample())
    return {
        row: Comparison([one[at] for one in taken[0]], [one[at] for one in taken[1]], row.better)
        for at, row in enumerate(measurement.rows)
    }
