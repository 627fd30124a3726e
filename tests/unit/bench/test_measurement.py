"""The order in which the two sides are measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.comparing import Better
from bench.measurement import Measurement, Row, Sample, compare
from bench.sides import Side

SIDES = (Side("peer", Path("peer")), Side("ours", Path("ours")))
FAST, MANY = Row("fast", "fast", "ms"), Row("many", "many", "1/s", Better.MORE)


class Recorder:
    """Gives each side rising numbers and remembers the order of what happened."""

    def __init__(self) -> None:
        self.happened: list[str] = []

    @contextmanager
    def prepare(self, side: Side) -> Iterator[Sample]:
        taken = 0

        def sample() -> list[float]:
            nonlocal taken
            taken += 1
            self.happened.append(side.name)
            return [float(taken), 10.0 * taken]

        self.happened.append(f"{side.name} ready")
        yield sample
        self.happened.append(f"{side.name} ended")


def test_sides_take_turns_after_a_warm_up_that_does_not_count() -> None:
    recorder = Recorder()
    found = compare(Measurement((FAST, MANY), recorder.prepare), SIDES, 2, lambda _: None)
    assert recorder.happened == [
        "peer ready", "ours ready", *["peer", "ours"] * 3, "ours ended", "peer ended",
    ]  # fmt: skip
    assert found[FAST].peer == [2.0, 3.0]
    assert found[MANY].ours == [20.0, 30.0]
    assert (found[FAST].better, found[MANY].better) == (Better.LESS, Better.MORE)


def test_what_cannot_change_is_measured_once() -> None:
    recorder = Recorder()
    measurement = Measurement((FAST, MANY), recorder.prepare, warm_up=False, repeats=False)
    found = compare(measurement, SIDES, 5, lambda _: None)
    assert found[FAST].peer == [1.0]
