"""StepResult: ``done`` always equals ``terminated or truncated``."""

from __future__ import annotations

import itertools

import pytest

from openenv.types import StepResult


@pytest.mark.parametrize(("done", "terminated", "truncated"), list(itertools.product([False, True], repeat=3)))
def test_the_three_flags_agree(done: bool, terminated: bool, truncated: bool) -> None:
    result = StepResult(None, done=done, terminated=terminated, truncated=truncated)
    assert result.done == (done or terminated or truncated) == (result.terminated or result.truncated)
    assert result.truncated == truncated
    assert result.terminated == (terminated or (done and not truncated))


def test_what_is_not_said() -> None:
    result = StepResult({"hand": 12})
    assert (result.observation, result.reward, result.done, result.metadata) == ({"hand": 12}, None, False, {})
    result.metadata["seed"] = 1
    assert StepResult(None).metadata == {}
