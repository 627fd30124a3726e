"""Questions with verifiable answers, those of reasoning-gym: models and client; the environment is in ``.server``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openenv_reasoning_gym.models import ReasoningGymAction, ReasoningGymObservation, ReasoningGymState

if TYPE_CHECKING:
    from openenv_reasoning_gym.client import ReasoningGymClient

__all__ = ["ReasoningGymAction", "ReasoningGymClient", "ReasoningGymObservation", "ReasoningGymState"]


def __getattr__(name: str) -> Any:  # a server of this environment has no use for the client
    if name != "ReasoningGymClient":
        raise AttributeError(f"module 'openenv_reasoning_gym' has no attribute {name!r}")
    from openenv_reasoning_gym.client import ReasoningGymClient

    return ReasoningGymClient
