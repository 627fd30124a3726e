"""One answer of an environment, as a client sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic

from typing_extensions import TypeVar

__all__ = ["ActT", "ObsT", "StateT", "StepResult"]

ActT = TypeVar("ActT", default=Any)
ObsT = TypeVar("ObsT", default=Any)
StateT = TypeVar("StateT", default=Any)


@dataclass
class StepResult(Generic[ObsT]):
    """One answer of an environment, to ``reset`` as to ``step``.

    ``done`` always equals ``terminated or truncated``: where only ``done`` is given, the episode was terminated.

    Attributes:
        observation: What the agent sees.
        reward: Reward of this step, a finite number; ``None`` where none was given.
        done: Whether the episode is over.
        terminated: The task came to its own end.
        truncated: The episode was cut from outside.
        metadata: Free-form facts; after a reset also ``seed`` and ``episode_id`` as really used.
    """

    observation: ObsT
    reward: float | None = None
    done: bool = False
    terminated: bool = False
    truncated: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.terminated or self.truncated:
            self.done = True
        elif self.done:
            self.terminated = True
