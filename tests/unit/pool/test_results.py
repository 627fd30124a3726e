"""Answers side by side."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from openenv import Observation, StepResult
from openenv.errors import ActionInvalid, EpisodeLost
from openenv.pool import ResetResult, VectorResult
from openenv.pool.stacking import stacked


class Seen(Observation):
    grid: np.ndarray
    level: int = 0
    text: str = ""


def same(left: Any, right: Any) -> bool:
    """Whether both are alike, arrays in their dtype too."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, np.ndarray):
        return isinstance(right, np.ndarray) and left.dtype == right.dtype and np.array_equal(left, right)
    return type(left) is type(right) and left == right


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([1, 2], np.array([1, 2])),
        ([True, False], np.array([True, False])),
        ([1.5, 2.0], np.array([1.5, 2.0])),
        ([1, 2.5], [1, 2.5]),
        (["a", "b"], ["a", "b"]),
        ([["a"], ["b"]], [["a"], ["b"]]),
        ([[1, 2], [3, 4]], np.array([[1, 2], [3, 4]])),
        ([[1, 2], [3]], [[1, 2], [3]]),
        ([[], []], [[], []]),
        ([2**70, 1], [2**70, 1]),
        ([{"x": 1, "t": "a"}, {"x": 2, "t": "b"}], {"x": np.array([1, 2]), "t": ["a", "b"]}),
        ([{"x": 1}, {"y": 2}], [{"x": 1}, {"y": 2}]),
        ([{"x": {"y": [1]}}, {"x": {"y": [2]}}], {"x": {"y": np.array([[1], [2]])}}),
        ([np.zeros(2, np.uint8), np.ones(2, np.uint8)], np.array([[0, 0], [1, 1]], np.uint8)),
        ([np.float32(1), np.float32(2)], np.array([1, 2], np.float32)),
    ],
)
def test_what_is_alike_becomes_an_array(values: list[Any], wanted: Any) -> None:
    assert same(stacked(values, [True] * len(values)), wanted)


@pytest.mark.parametrize(
    "values", [[np.zeros(2), np.zeros(3)], [np.zeros(2), np.zeros(2, np.uint8)], [np.zeros(2), [0.0, 0.0]]]
)
def test_arrays_that_differ_stay_a_list(values: list[Any]) -> None:
    assert isinstance(stacked(values, [True, True]), list)


def test_models_are_stacked_by_field_without_what_results_have() -> None:
    seen = [Seen(grid=np.full((2, 2), n), level=n, text=str(n), reward=1.0, metadata={"a": 1}) for n in range(3)]
    found = stacked(seen, [True] * 3)
    assert found.keys() == {"grid", "level", "text"}
    assert same(found["grid"], np.stack([one.grid for one in seen]))
    assert found["text"] == ["0", "1", "2"]


def result(**fields: Any) -> StepResult[Any]:
    return StepResult(**{"observation": {"x": [1.0, 2.0], "t": "a"}, **fields})


def test_a_session_that_failed_leaves_zeros_and_its_error() -> None:
    refused, lost = ActionInvalid("no such move"), EpisodeLost("gone", details={"reason": "evicted"})
    answers = VectorResult(
        [4, 7, 1, 2],
        [result(reward=1), None, None, result(truncated=True, metadata={"n": 3, "who": "me", "none": None})],
        [None, refused, lost, None],
    )
    observations, rewards, terminated, truncated, infos = answers
    assert same(observations["x"], np.array([[1.0, 2.0], [0, 0], [0, 0], [1.0, 2.0]]))
    assert observations["t"] == ["a", None, None, "a"]
    assert same(rewards, np.array([1.0, 0, 0, 0]))
    assert terminated.tolist() == [False] * 4
    assert truncated.tolist() == [False, False, True, True], "a lost episode is cut; a refused action ends nothing"
    assert answers.dones.tolist() == [False, False, True, True]
    assert infos["error"] == [None, refused, lost, None]
    assert infos["_error"].tolist() == [False, True, True, False]
    assert same(infos["n"], np.array([0, 0, 0, 3]))
    assert infos["who"] == [None, None, None, "me"]
    assert infos["_none"].tolist() == [False, False, False, True], "it is there, though it is None"
    assert answers.failed == [7, 1]
    with pytest.raises(ActionInvalid, match="2 of 4 sessions failed; session 7 of the pool: no such move") as caught:
        answers.raise_errors()
    assert caught.value.details["failed"] == [
        {"index": 7, "code": "VALIDATION_ERROR", "message": "no such move"},
        {"index": 1, "code": "EPISODE_LOST", "message": "gone"},
    ]
    assert caught.value.__cause__ is refused


def test_a_reset_unpacks_into_two() -> None:
    observations, infos = ResetResult([0], [result(metadata={"seed": 7})], [None])
    assert observations["x"].shape == (1, 2)
    assert infos["seed"].tolist() == [7]


def test_without_numpy_there_are_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    answers = VectorResult([0, 1], [result(reward=2.0, done=True), None], [None, ActionInvalid("no")])
    assert answers.observations == {"x": [[1.0, 2.0], None], "t": ["a", None]}
    assert (answers.rewards, answers.dones) == ([2.0, 0.0], [True, False])
