"""What an environment returned, checked and brought into the one form in which it leaves."""

from __future__ import annotations

import math
from typing import Any

from openenv.errors import ObservationInvalid, RewardInvalid
from openenv.protocol import Observed, fields_beside, observation_part
from openenv.types import Observation

__all__ = ["observed"]


def observed(returned: Any, operation: str) -> Observed:
    """The reply for what ``reset`` or ``step`` returned.

    Raises:
        ObservationInvalid: It is not an Observation.
        RewardInvalid: Its reward is not a finite number; the error carries the observation and ``done``.
    """
    if not isinstance(returned, Observation):
        raise ObservationInvalid(
            f"{operation}() returned {_name(returned)}; return an instance of your Observation class",
            details={"reward": None, "done": None},
        )
    flags = fields_beside(type(returned))  # without those that the class gave a meaning of its own
    terminated = "terminated" in flags and bool(returned.terminated)
    truncated = "truncated" in flags and bool(returned.truncated)
    done = bool(returned.done) or terminated or truncated
    reward = returned.reward
    if reward is not None and not _is_finite(reward):
        raise RewardInvalid(
            f"{operation}() gave the reward {reward!r}; a reward is a finite number or None",
            details={"reward": None, "done": done, "observation": observation_part(returned)},
        )
    return Observed(
        observation=returned,
        reward=reward,
        done=done,
        terminated=terminated or (done and not truncated),
        truncated=truncated,
        metadata=returned.metadata,
    )


def _is_finite(reward: Any) -> bool:
    try:
        return math.isfinite(reward)
    except TypeError:  # a model built without validation may hold anything
        return False


def _name(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
