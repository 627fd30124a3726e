"""What a pool's user asks, as requests for sessions."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from openenv.errors import LocalProtocolError
from openenv.protocol import Reset, Step

__all__ = ["chosen", "reset_requests", "step_requests"]


def chosen(indices: Any, size: int) -> list[int]:
    """The indices that are meant, out of ``size``: all, those that are named, or those of a mask.

    Raises:
        LocalProtocolError: There is none such, one is named twice, or none is meant.
    """
    if indices is None:
        return list(range(size))
    named = indices.tolist() if hasattr(indices, "tolist") else list(indices)
    if named and all(isinstance(one, bool) for one in named):
        if len(named) != size:
            raise LocalProtocolError(f"a mask has one bool for each of the {size} sessions, not {len(named)}")
        named = [index for index, is_meant in enumerate(named) if is_meant]
    named = [_whole(one, size, f"indices are integers from 0 to {size - 1}") for one in named]
    if len(set(named)) < len(named):
        raise LocalProtocolError("an index is named twice; a session takes one request at a time")
    if not named:
        raise LocalProtocolError("no session is meant; name at least one")
    return named


def step_requests(actions: Any, indices: Any, size: int, timeout_s: float | None) -> tuple[list[int], list[Step]]:
    """Who takes which action.

    Raises:
        LocalProtocolError: There is not one action for each.
    """
    if isinstance(actions, Mapping):
        if indices is not None:
            raise LocalProtocolError("actions by index say for themselves which sessions are meant; leave out indices")
        indices, actions = list(actions), list(actions.values())
    at = chosen(indices, size)
    if not hasattr(actions, "__len__"):
        raise LocalProtocolError(f"actions are a sequence with one for each session, not {type(actions).__name__}")
    if len(actions) != len(at):
        raise LocalProtocolError(f"{len(at)} sessions are stepped; there must be as many actions, not {len(actions)}")
    return at, [Step(action=action, timeout_s=timeout_s) for action in actions]


def reset_requests(
    seed: int | Sequence[int | None] | None, options: Mapping[str, Any] | None, at: list[int], timeout_s: float | None
) -> list[Reset]:
    """How each episode begins.

    Raises:
        LocalProtocolError: A seed is none, or there is not one for each.
    """
    given: Any = seed
    if hasattr(given, "tolist"):  # an array, or a number of numpy
        given = given.tolist()
    if given is None:
        seeds: list[int | None] = [None] * len(at)
    elif isinstance(given, Sequence) and not isinstance(given, str):
        seeds = [None if one is None else _seed(one) for one in given]
        if len(seeds) != len(at):
            raise LocalProtocolError(f"{len(at)} sessions are reset; there must be as many seeds, not {len(seeds)}")
    else:
        first = _seed(given)
        seeds = [_seed(first + index) for index in at]
    own = dict(options or {})
    return [Reset(seed=one, timeout_s=timeout_s, options=own) for one in seeds]


def _seed(seed: Any) -> int:
    return _whole(seed, 2**63, "a seed is an integer from 0 to 2**63 - 1")


def _whole(value: Any, end: int, rule: str) -> int:
    """An integer of any kind from 0 to ``end`` - 1."""
    try:
        found = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        found = -1
    if not 0 <= found < end:
        raise LocalProtocolError(f"{rule}, not {value!r}")
    return found
