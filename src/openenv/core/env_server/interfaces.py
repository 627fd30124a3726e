"""The class that existing environments subclass, with the liberties they take."""

from __future__ import annotations

import inspect
import random
from functools import cached_property
from typing import Any, ClassVar

from openenv import environment
from openenv.environment import Lifecycle, Transform
from openenv.types import Action, ActT, EnvironmentMetadata, Observation, ObsT, State, StateT

__all__ = [
    "ActT",
    "Action",
    "Environment",
    "EnvironmentMetadata",
    "ObsT",
    "Observation",
    "State",
    "StateT",
    "Transform",
]


class Environment(environment.Environment[ActT, ObsT, StateT]):
    """``openenv.Environment`` as existing environments know it.

    A step before a reset and after the end runs, unknown keyword arguments are left out instead of refused, and
    a subclass may skip ``super().__init__()``, may write ``state`` as a plain method, may have an ``rng`` of its
    own, and seeds itself from ``reset(seed=...)`` alone.

    Args:
        transform: Applied to every observation once: by the environment where it calls ``_apply_transform``, else
            on the observation's way out.
    """

    lifecycle: ClassVar[Lifecycle] = "lenient"

    def __init__(self, transform: Transform[ObsT] | None = None) -> None:
        self.transform = transform

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        state = cls.__dict__.get("state")
        if inspect.isfunction(state):
            cls.state = property(state)  # type: ignore[assignment, method-assign]  # what it overrides is a property

    @cached_property
    def rng(self) -> random.Random:  # not read-only: a subclass may assign its own
        """Random numbers; nobody seeds them unless the subclass does."""
        return random.Random()  # noqa: S311 - games, not secrets

    def reseed(self, seed: int | None) -> int:
        """Leave the environment as it is: it seeds itself. Returns the seed, or a fresh 32-bit one for ``None``."""
        return random.SystemRandom().getrandbits(32) if seed is None else seed

    def _apply_transform(self, observation: ObsT) -> ObsT:
        """The observation after ``transform``, for subclasses that apply it themselves."""
        if self.transform is None:
            return observation
        own: _AppliedByAuthor[ObsT] = (
            self.transform if isinstance(self.transform, _AppliedByAuthor) else _AppliedByAuthor(self.transform)
        )
        self.transform = own
        return own.apply(observation)


class _AppliedByAuthor(Transform[ObsT]):
    """A transform that lets an observation pass which the author has put through it already."""

    def __init__(self, transform: Transform[ObsT]) -> None:
        self._transform = transform
        self._applied = False

    def apply(self, observation: ObsT) -> ObsT:
        self._applied = True
        return self._transform(observation)

    def __call__(self, observation: ObsT) -> ObsT:
        applied, self._applied = self._applied, False
        return observation if applied else self._transform(observation)
