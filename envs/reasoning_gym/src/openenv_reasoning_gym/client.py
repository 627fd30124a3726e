"""The typed client of reasoning_gym."""

from __future__ import annotations

from openenv import EnvClient
from openenv_reasoning_gym.models import ReasoningGymAction, ReasoningGymObservation, ReasoningGymState

__all__ = ["ReasoningGymClient"]


class ReasoningGymClient(EnvClient[ReasoningGymAction, ReasoningGymObservation, ReasoningGymState]):
    """Answers questions in one session of a served reasoning_gym environment.

    Arguments, methods and errors are those of ``openenv.EnvClient``; ``.sync()`` gives the synchronous one. The options
    of ``reset`` are those of ``openenv_reasoning_gym.server.environment.ReasoningGymEnvironment.reset``.
    """
