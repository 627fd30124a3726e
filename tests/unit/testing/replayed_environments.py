"""One that can be played again and restored, and for each of both rules some that say so and cannot."""

from __future__ import annotations

from typing import Any, ClassVar

from tests.unit.testing.bad_environments import Good, Roll, Rolled, Table

from openenv import Environment
from openenv.testing import Rule


class GoodAgain(Good):
    """The same, which can be played again and restored; only its clock differs."""

    deterministic = True
    volatile = frozenset({"clock"})
    ticks: ClassVar[int] = 0

    def step(self, action: Roll) -> Rolled:
        rolled = super().step(action)
        GoodAgain.ticks += 1
        rolled.metadata = {"clock": GoodAgain.ticks}
        return rolled

    def snapshot(self) -> Any:
        version, words, gauss = self.rng.getstate()
        return {"table": self._table.model_dump(), "rng": [version, list(words), gauss]}

    def restore(self, snapshot: Any) -> None:
        self._table = Table.model_validate(snapshot["table"])
        version, words, gauss = snapshot["rng"]
        self.rng.setstate((version, tuple(words), gauss))


class SaysItIsDeterministic(Good):
    """Its steps are not."""

    deterministic = True
    steps: ClassVar[int] = 0

    def step(self, action: Roll) -> Rolled:
        type(self).steps += 1
        self._table.step_count += 1
        return Rolled(face=3, more={"dice": [1, self.steps]})


class ClockIsNotVolatile(GoodAgain):
    volatile = frozenset()


class ForgetsTheDice(GoodAgain):
    def restore(self, snapshot: Any) -> None:
        self._table = Table.model_validate(snapshot["table"])
        self.rng.seed(99)


class NoSnapshotComes(GoodAgain):
    def snapshot(self) -> Any:
        raise OSError("the disk is full")


class RestoresNothing(GoodAgain):
    def restore(self, snapshot: Any) -> None:
        raise OSError("the disk is empty")


class SnapshotHasNoForm(GoodAgain):
    def snapshot(self) -> Any:
        return object()


UNREPEATABLE: dict[type[Environment[Any, Any, Any]], Rule] = {
    SaysItIsDeterministic: Rule.R19,
    ClockIsNotVolatile: Rule.R19,
    ForgetsTheDice: Rule.R20,
    NoSnapshotComes: Rule.R20,
    RestoresNothing: Rule.R20,
    SnapshotHasNoForm: Rule.R20,
}
