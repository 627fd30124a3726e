"""The words everyone uses: what an agent sends, what it gets back, and what an environment says of itself."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from openenv.types.result import ActT, ObsT, StateT, StepResult

if TYPE_CHECKING:
    from openenv.types.models import Action, EnvironmentMetadata, Observation, State

_MODELS = ("Action", "EnvironmentMetadata", "Observation", "State")

__all__ = ["ActT", "Action", "EnvironmentMetadata", "ObsT", "Observation", "State", "StateT", "StepResult"]


def __getattr__(name: str) -> Any:  # a client without types needs no pydantic, which is half of the time to import one
    if name not in _MODELS:
        raise AttributeError(f"module 'openenv.types' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module("openenv.types.models"), name)
    return value
