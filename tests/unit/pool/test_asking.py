"""Which sessions are meant, and what they are asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openenv import EnvPool
from openenv.errors import ConfigurationError, LocalProtocolError
from openenv.pool.asking import chosen, reset_requests, step_requests
from openenv.pool.metrics import Tally


@pytest.mark.parametrize(
    ("indices", "meant"),
    [
        (None, [0, 1, 2]),
        ([2, 0], [2, 0]),
        (range(2), [0, 1]),
        (np.array([1]), [1]),
        (list(np.array([2, 1])), [2, 1]),
        ([True, False, True], [0, 2]),
        (np.array([False, False, True]), [2]),
    ],
)
def test_indices_and_masks(indices: Any, meant: list[int]) -> None:
    assert chosen(indices, 3) == meant


@pytest.mark.parametrize(
    ("indices", "told"),
    [
        ([3], "from 0 to 2"),
        ([-1], "from 0 to 2"),
        (["1"], "not '1'"),
        ([1.0], "not 1.0"),
        ([1, True], "not True"),
        ([1, 1], "twice"),
        ([], "at least one"),
        ([False] * 3, "at least one"),
        ([True], "each of the 3"),
    ],
)
def test_what_names_no_session_is_said(indices: Any, told: str) -> None:
    with pytest.raises(LocalProtocolError, match=told):
        chosen(indices, 3)


def test_actions_by_order_and_by_index() -> None:
    at, requests = step_requests(np.array([[1.0], [2.0]]), [2, 0], 3, 4.0)
    assert (at, [one.action.tolist() for one in requests], requests[0].timeout_s) == ([2, 0], [[1.0], [2.0]], 4.0)
    at, requests = step_requests({2: "a", 1: "b"}, None, 3, None)
    assert (at, [one.action for one in requests]) == ([2, 1], ["a", "b"])
    for actions, indices in (([1], None), ({1: "a"}, [1]), (iter([1, 2, 3]), None)):
        with pytest.raises(LocalProtocolError):
            step_requests(actions, indices, 3, None)


def test_seeds() -> None:
    def seeds(seed: Any, at: list[int]) -> list[int | None]:
        return [one.seed for one in reset_requests(seed, None, at, None)]

    assert seeds(None, [0, 4]) == [None, None]
    assert seeds(10, [0, 4]) == [10, 14], "by index, so that it does not depend on which others are reset"
    assert seeds([5, None], [0, 4]) == [5, None]
    assert seeds(np.int64(3), [0, 4]) == [3, 7]
    assert seeds(np.array([5, 6]), [0, 4]) == [5, 6]
    for wrong in (-1, True, [1], 2**63 - 1, [1, "2"], 1.0):
        with pytest.raises(LocalProtocolError):
            seeds(wrong, [0, 1])


@pytest.mark.parametrize(
    "options",
    [{"sessions": 0}, {"connections": True}, {"autoreset": "always"}, {"on_error": "ignore"}, {"queue_timeout_s": -1}],
)
def test_options_that_are_no_good(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        EnvPool("http://127.0.0.1:1", **{"sessions": 1, **options})


def test_a_pool_needs_an_endpoint() -> None:
    with pytest.raises(ConfigurationError, match="needs an endpoint"):
        EnvPool(sessions=1)


def test_quantiles() -> None:
    tally = Tally()
    assert tally.quantile_ms(0.5) is None
    for seconds in range(100):
        tally.took(float(seconds))
    assert (tally.quantile_ms(0.5), tally.quantile_ms(0.95), tally.quantile_ms(1.0)) == (50_000, 95_000, 99_000)
