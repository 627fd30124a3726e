"""One of which several are stepped in one call, and some that answer otherwise then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from tests.unit.testing.bad_environments import Good, Roll, Rolled

from openenv import Environment
from openenv.testing import Rule


class GoodTogether(Good):
    """The same, several in one call."""

    @classmethod
    def step_batch(cls, environments: Sequence[Any], actions: Sequence[Roll]) -> list[Rolled]:
        return [one.step(action) for one, action in zip(environments, actions, strict=True)]


class MixesThemUp(GoodTogether):
    @classmethod
    def step_batch(cls, environments: Sequence[Any], actions: Sequence[Roll]) -> list[Rolled]:
        return super().step_batch(environments, actions)[::-1]


class CountsItsCalls(GoodTogether):
    calls: ClassVar[int] = 0

    @classmethod
    def step_batch(cls, environments: Sequence[Any], actions: Sequence[Roll]) -> list[Rolled]:
        cls.calls += 1
        found = super().step_batch(environments, actions)
        for one in found:
            one.more["calls"] = cls.calls
        return found


class RaisesTogether(GoodTogether):
    @classmethod
    def step_batch(cls, environments: Sequence[Any], actions: Sequence[Roll]) -> list[Rolled]:
        raise ZeroDivisionError


class ForgetsTheReward(GoodTogether):
    @classmethod
    def step_batch(cls, environments: Sequence[Any], actions: Sequence[Roll]) -> list[Rolled]:
        return [one.model_copy(update={"reward": None}) for one in super().step_batch(environments, actions)]


MISBATCHED: dict[type[Environment[Any, Any, Any]], Rule] = dict.fromkeys(
    [MixesThemUp, CountsItsCalls, RaisesTogether, ForgetsTheReward], Rule.R21
)
