"""Functions from observation to observation, applied to all an environment returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic

from openenv.types import ObsT

__all__ = ["ComposedTransform", "Transform"]


class Transform(ABC, Generic[ObsT]):
    """Changes or annotates an observation on its way out, for instance to add a reward."""

    @abstractmethod
    def __call__(self, observation: ObsT) -> ObsT:
        """The observation to send instead."""


class ComposedTransform(Transform[ObsT]):
    """Several transforms, applied from left to right."""

    def __init__(self, *transforms: Transform[ObsT]) -> None:
        self.transforms = transforms

    def __call__(self, observation: ObsT) -> ObsT:
        for transform in self.transforms:
            observation = transform(observation)
        return observation
