"""The result type of existing clients."""

from __future__ import annotations

from typing import Any

from openenv import types
from openenv.types import ObsT, StateT

__all__ = ["ObsT", "StateT", "StepResult"]


class StepResult(types.StepResult[ObsT]):
    """``openenv.StepResult`` with the argument order and the ``None`` values of older code.

    Args:
        observation: What the agent sees.
        reward: Reward of this step; ``None`` where none was given.
        done: Whether the episode is over.
        metadata: Free-form facts; ``None`` is the same as none.
        terminated, truncated: As in ``openenv.StepResult``; older code leaves them to ``done``.
    """

    def __init__(
        self,
        observation: ObsT,
        reward: float | None = None,
        done: bool | None = False,
        metadata: dict[str, Any] | None = None,
        *,
        terminated: bool = False,
        truncated: bool = False,
    ) -> None:
        super().__init__(observation, reward, bool(done), terminated, truncated, metadata or {})
