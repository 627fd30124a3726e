"""What a measurement is: rows of the table, and ways to take the numbers of the peer and of ours."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from bench.comparing import Better, Comparison
from bench.sides import Sides

__all__ = ["Entrant", "Measurement", "Prepare", "Row", "Sample", "compare"]

Sample = Callable[[], Sequence[float]]
"""Takes the numbers of one round, one for each row."""

Prepare = Callable[[Sides], AbstractContextManager[Sample]]
"""Readies one of those who are compared, such as by starting its server; the sample it gives is taken once a round."""


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        name: For the command line and the JSON.
        what: What is measured, for people.
        unit: Of the numbers.
        better: Which way they are good.
        goal: How many times better ours is to be, where there is such a goal.
        at_most: What our number is not to exceed, where there is such a goal.
    """

    name: str
    what: str
    unit: str
    better: Better = Better.LESS
    goal: float | None = None
    at_most: float | None = None


@dataclass(frozen=True)
class Entrant:
    """One of ours that is set beside the peer.

    Attributes:
        rows: What comes out, in the order of the peer's numbers; ``None`` for a number that is no row.
        prepare: Readies it.
    """

    rows: tuple[Row | None, ...]
    prepare: Prepare


@dataclass(frozen=True)
class Measurement:
    """The peer and some of ours, measured in turn.

    Attributes:
        peer: Readies the peer.
        entrants: Who is set beside it.
        warm_up: Whether one sample of each is thrown away first.
        repeats: Whether another round can give another number.
    """

    peer: Prepare
    entrants: tuple[Entrant, ...]
    warm_up: bool = True
    repeats: bool = True

    @property
    def rows(self) -> list[Row]:
        """All that it can tell."""
        return [row for entrant in self.entrants for row in entrant.rows if row is not None]


def compare(
    measurement: Measurement, wanted: Collection[str], sides: Sides, rounds: int, say: Callable[[str], None]
) -> tuple[dict[Row, Comparison], dict[str, str]]:
    """Measure the peer and ours in turn: A B C A B C, so that what slows the machine slows all.

    Args:
        measurement: What to measure.
        wanted: Names of rows; an entrant with none of them does not take part.
        sides: Who is compared.
        rounds: How many samples of each count.
        say: Is told how far it is.

    Returns:
        The rows that were wanted, and by name what went wrong with those that are missing.

    Raises:
        RuntimeError, OSError: The peer failed.
    """
    rounds = rounds if measurement.repeats else 1
    asked = [one for one in measurement.entrants if any(row and row.name in wanted for row in one.rows)]
    taken: dict[Entrant, list[Sequence[float]]] = {one: [] for one in asked}
    of_peer: list[Sequence[float]] = []
    failed: dict[Entrant, str] = {}
    with ExitStack() as stack:
        say(f"{measurement.rows[0].name}: starting")
        peer = stack.enter_context(measurement.peer(sides))
        samples: dict[Entrant, Sample] = {}
        for one in asked:
            with _noted(one, failed):
                samples[one] = stack.enter_context(one.prepare(sides))
        for number in range(0 if measurement.warm_up else 1, rounds + 1):
            say(f"{measurement.rows[0].name}: round {number} of {rounds}")
            numbers = peer()
            if number:
                of_peer.append(numbers)
            for one, sample in samples.items():
                if one not in failed:
                    with _noted(one, failed):
                        numbers = sample()
                        if number:
                            taken[one].append(numbers)
    rows = [(one, at, row) for one in asked for at, row in enumerate(one.rows) if row and row.name in wanted]
    results = {
        row: Comparison([numbers[at] for numbers in of_peer], [numbers[at] for numbers in taken[one]], row.better)
        for one, at, row in rows
        if one not in failed
    }
    return results, {row.name: failed[one] for one, _, row in rows if one in failed}


@contextmanager
def _noted(one: Entrant, failed: dict[Entrant, str]) -> Iterator[None]:
    """Let the others go on when one fails; they are worth having."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        failed[one] = str(error)
