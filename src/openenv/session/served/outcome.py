"""What an environment returned, checked and brought into the one form in which it leaves."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

from openenv.errors import ExecutionFailed, ObservationInvalid, RewardInvalid
from openenv.protocol import Observed, fields_beside, is_model, observation_part
from openenv.types import Observation
from openenv.types.tagged import TAGGED

__all__ = ["checked_state", "observed", "told"]

_flags_of: dict[type[Any], tuple[bool, bool]] = {}  # by observation class, worked out once


def observed(returned: Any, operation: str) -> Observed:
    """The reply for what ``reset`` or ``step`` returned.

    Raises:
        ObservationInvalid: It is not an Observation.
        RewardInvalid: Its reward is not a finite number; the error carries the observation and ``done``.
    """
    flags = _flags_of.get(type(returned))
    if flags is None:
        flags = _flags(returned, operation)
    terminated = flags[0] and bool(returned.terminated)
    truncated = flags[1] and bool(returned.truncated)
    done = bool(returned.done) or terminated or truncated
    reward = returned.reward
    if reward is not None and not _is_finite(reward):
        raise RewardInvalid(
            f"{operation}() gave the reward {_shown(reward)}; a reward is a finite number or None",
            details={"reward": None, "done": done, "observation": observation_part(returned, TAGGED)},
        )
    return Observed(
        observation=returned,
        reward=reward,
        done=done,
        terminated=terminated or (done and not truncated),
        truncated=truncated,
        metadata=returned.metadata,
    )


def checked_state(returned: Any, environment: str) -> Any:
    """What ``state`` gave, if it can be sent as a state: a State, another pydantic model, or a mapping.

    Raises:
        ExecutionFailed: It is something else; the message says how to mend the environment of that name.
    """
    if isinstance(returned, Mapping) or (is_model(returned) and not isinstance(returned, type)):
        return returned
    if inspect.iscoroutine(returned):
        returned.close()  # or Python would warn that it was never awaited
        raise ExecutionFailed(f"{environment}.state is async; write 'def state' under @property, without async")
    if inspect.ismethod(returned):
        raise ExecutionFailed(f"{environment}.state is a method; make it a property: write @property above it")
    raise ExecutionFailed(f"{environment}.state is {_name(returned)}; return an instance of State")


def _flags(returned: Any, operation: str) -> tuple[bool, bool]:
    """Whether ``terminated`` and ``truncated`` say how an episode ended: a class may give them a meaning of its own."""
    if not isinstance(returned, Observation):
        mend = "return an instance of your Observation class"
        if inspect.isawaitable(returned):
            mend = f"name it {operation}_async, where it is awaited"
            if inspect.iscoroutine(returned):
                returned.close()  # or Python would warn that it was never awaited
        raise ObservationInvalid(
            f"{operation}() returned {_name(returned)}; {mend}", details={"reward": None, "done": None}
        )
    beside = fields_beside(type(returned))
    flags = _flags_of[type(returned)] = "terminated" in beside, "truncated" in beside
    return flags


def _is_finite(reward: Any) -> bool:
    try:
        return math.isfinite(reward)
    except (TypeError, OverflowError):  # a model built without validation may hold anything; no float is that large
        return False


def _shown(reward: Any) -> str:
    # Python refuses to write very long integers
    return f"an integer of {reward.bit_length()} bits" if isinstance(reward, int) else repr(reward)


def _name(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def told(error: BaseException) -> str:
    """An error of the author's code in one line: its type and its text."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
