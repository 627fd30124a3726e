"""Differences: where two values differ, as people read it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openenv.rollout.difference import differences


def told(recorded: Any, replayed: Any) -> list[str]:
    return [str(one) for one in differences(recorded, replayed, "observation")]


@pytest.mark.parametrize(
    ("recorded", "replayed", "expected"),
    [
        ({"board": [0, 1, 2, 4]}, {"board": [0, 1, 2, 5]}, "observation.board[3]: 4 != 5"),
        ({"board": [[1, 2], [3, 4]]}, {"board": [[1, 2], [0, 4]]}, "observation.board[1][0]: 3 != 0"),
        ({"moves": [1]}, {"moves": [1, 2]}, "observation.moves[1]: nothing != 2"),
        ({"moves": [1, 2]}, {"moves": [1]}, "observation.moves[1]: 2 != nothing"),
        ({"a": 1}, {}, "observation.a: 1 != nothing"),
        ({}, {"a": None}, "observation.a: nothing != None"),
        ({"two words": 1}, {"two words": 2}, "observation['two words']: 1 != 2"),
        ({1: "a"}, {1: "b"}, "observation[1]: 'a' != 'b'"),
        (None, {"a": 1}, "observation: None != {'a': 1}"),
        (1, True, "observation: 1 != True"),
        (0, False, "observation: 0 != False"),
        (1, "1", "observation: 1 != '1'"),
        ((1, 2), [1, 2], "observation: (1, 2) != [1, 2]"),
        (0.1 + 0.2, 0.3, "observation: 0.30000000000000004 != 0.3"),
        (2**53 + 1, float(2**53), "observation: 9007199254740993 != 9007199254740992.0"),
        (0.0, -0.0, "observation: 0.0 != -0.0"),
        (float("nan"), 1.0, "observation: nan != 1.0"),
        (float("inf"), float("-inf"), "observation: inf != -inf"),
        (b"a", b"b", "observation: b'a' != b'b'"),
        ({1, 2}, {1, 3}, "observation: {1, 2} != {1, 3}"),
    ],
)
def test_a_difference_is_a_path(recorded: Any, replayed: Any, expected: str) -> None:
    assert told(recorded, replayed) == [expected]


@pytest.mark.parametrize(
    "value",
    [
        {"board": [1, 2.5, "x", None, True], "deep": {"er": [(1,), b"z", {3}]}},
        [float("nan"), float("inf"), -0.0],
        np.array([[1.0, np.nan], [np.inf, -0.0]]),
        np.array(["2026-01-01", "NaT"], "M8[D]"),
        np.array([1 + 2j, complex("nan")]),
        np.array([{"a": 1}, None, float("nan")], object),
        np.array([(1, float("nan"))], [("n", "i4"), ("x", "f8")]),
        np.array(5, "int8"),
        np.zeros((0, 3)),
    ],
    ids=str,
)
def test_what_is_the_same_has_none(value: Any) -> None:
    again = value.copy() if hasattr(value, "copy") else value
    assert told({"value": value}, {"value": again}) == []


def test_a_number_is_the_same_in_both_of_its_forms() -> None:
    assert told({"reward": 1}, {"reward": 1.0}) == []


@pytest.mark.parametrize(
    ("recorded", "replayed", "expected"),
    [
        (np.array([[1, 2], [3, 4]]), np.array([[1, 2], [5, 6]]), "observation.x[1][0]: 3 != 5"),
        (np.array([np.nan, 1.0]), np.array([np.nan, 2.0]), "observation.x[1]: 1.0 != 2.0"),
        (np.array([np.nan]), np.array([0.0]), "observation.x[0]: nan != 0.0"),
        (np.array([0.0]), np.array([-0.0]), "observation.x[0]: 0.0 != -0.0"),
        (np.array(3), np.array(4), "observation.x: 3 != 4"),
        (np.array([True]), np.array([False]), "observation.x[0]: True != False"),
        (np.array(["a", "b"]), np.array(["a", "c"]), "observation.x[1]: 'b' != 'c'"),
        (np.array([complex(np.nan, 1)]), np.array([complex(np.nan, 2)]), "observation.x[0]: (nan+1j) != (nan+2j)"),
        (np.array([{"a": 1}], object), np.array([{"a": 2}], object), "observation.x[0].a: 1 != 2"),
        (
            np.array([(1, np.nan)], [("n", "i4"), ("x", "f8")]),
            np.array([(2, np.nan)], [("n", "i4"), ("x", "f8")]),
            "observation.x[0][0]: 1 != 2",
        ),
        (
            np.zeros(2, "float32"),
            np.zeros(2, "float64"),
            "observation.x: array of float32 (2,) != array of float64 (2,)",
        ),
        (np.zeros((2, 3)), np.zeros((3, 2)), "observation.x: array of float64 (2, 3) != array of float64 (3, 2)"),
        (np.zeros(2, "int64"), [0, 0], "observation.x: array of int64 (2,) != [0, 0]"),
    ],
)
def test_arrays_differ_at_their_first_item(recorded: Any, replayed: Any, expected: str) -> None:
    assert told({"x": recorded}, {"x": replayed}) == [expected]


def test_all_of_them_come_in_the_order_of_the_record() -> None:
    assert told({"b": 1, "a": [1, 2], "c": 3}, {"a": [3, 4], "c": 3, "d": 0, "b": 2}) == [
        "observation.b: 1 != 2",
        "observation.a[0]: 1 != 3",
        "observation.a[1]: 2 != 4",
        "observation.d: nothing != 0",
    ]


def test_a_long_value_is_cut() -> None:
    (line,) = told("x" * 500, "y")
    assert line.endswith("… != 'y'")
    assert len(line) < 100
    (line,) = told(10**5000, 1)
    assert line == "observation: int != 1"
