"""The models that existing environments subclass."""

from __future__ import annotations

from openenv.types import Action, EnvironmentMetadata, Observation, State

__all__ = ["Action", "EnvironmentMetadata", "Observation", "State"]
