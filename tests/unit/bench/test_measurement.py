"""The order in which the peer and ours are measured, and what becomes of one that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench.comparing import Better
from bench.measurement import Entrant, Measurement, Prepare, Row, Sample, compare
from bench.sides import Side, Sides

SIDES = Sides(Side("peer", Path("peer")), Side("ours", Path("ours")))
FAST, MANY = Row("fast", "fast", "ms"), Row("many", "many", "1/s", Better.MORE)
OTHER = Row("other", "other", "ms")
ALL = {"fast", "many", "other"}


class Recorder:
    """Gives rising numbers to each and remembers the order of what happened."""

    def __init__(self) -> None:
        self.happened: list[str] = []

    def of(self, name: str, fails_at: int = 0) -> Prepare:
        @contextmanager
        def prepare(sides: Sides) -> Iterator[Sample]:
            taken = 0

            def sample() -> list[float]:
                nonlocal taken
                taken += 1
                self.happened.append(name)
                if taken == fails_at:
                    raise RuntimeError(f"{name} broke")
                return [float(taken), 10.0 * taken]

            self.happened.append(f"{name} ready")
            yield sample
            self.happened.append(f"{name} ended")

        return prepare


@contextmanager
def absent(sides: Sides) -> Iterator[Sample]:
    raise OSError("there is none")
    yield list


def test_all_take_turns_after_a_warm_up_that_does_not_count() -> None:
    recorder = Recorder()
    measurement = Measurement(
        recorder.of("peer"), (Entrant((FAST, MANY), recorder.of("a")), Entrant((OTHER,), recorder.of("b")))
    )
    found, failed = compare(measurement, ALL, SIDES, 2, lambda _: None)
    assert recorder.happened == [
        "peer ready", "a ready", "b ready", *["peer", "a", "b"] * 3, "b ended", "a ended", "peer ended",
    ]  # fmt: skip
    assert found[FAST].peer == found[FAST].ours == [2.0, 3.0]
    assert found[MANY].ours == [20.0, 30.0]
    assert (found[FAST].better, found[MANY].better) == (Better.LESS, Better.MORE)
    assert found[OTHER].ours == [2.0, 3.0]
    assert failed == {}


def test_what_cannot_change_is_measured_once() -> None:
    recorder = Recorder()
    measurement = Measurement(
        recorder.of("peer"), (Entrant((FAST, MANY), recorder.of("a")),), warm_up=False, repeats=False
    )
    found, _ = compare(measurement, ALL, SIDES, 5, lambda _: None)
    assert found[FAST].peer == [1.0]


def test_only_who_has_a_row_that_is_wanted_takes_part() -> None:
    recorder = Recorder()
    measurement = Measurement(
        recorder.of("peer"), (Entrant((FAST, MANY), recorder.of("a")), Entrant((OTHER,), recorder.of("b")))
    )
    found, _ = compare(measurement, {"many"}, SIDES, 1, lambda _: None)
    assert set(found) == {MANY}
    assert "b" not in recorder.happened


@pytest.mark.parametrize(("fails_at", "why"), [(0, "there is none"), (1, "a broke"), (3, "a broke")])
def test_one_that_fails_does_not_end_the_others(fails_at: int, why: str) -> None:
    recorder = Recorder()
    broken = recorder.of("a", fails_at) if fails_at else absent
    measurement = Measurement(
        recorder.of("peer"), (Entrant((FAST, None), broken), Entrant((OTHER, None), recorder.of("b")))
    )
    found, failed = compare(measurement, ALL, SIDES, 3, lambda _: None)
    assert failed == {"fast": why}
    assert found[OTHER].ours == found[OTHER].peer == [2.0, 3.0, 4.0]
    assert set(found) == {OTHER}
    assert recorder.happened.count("a") == fails_at
