"""What a rollout is to play."""

from __future__ import annotations

from typing import Any

import pytest

from openenv.errors import ConfigurationError
from openenv.rollout import RolloutSettings, draw_seed, plan_episode


def test_an_episode_depends_on_seed_and_index_alone() -> None:
    assert plan_episode(7, 3) == plan_episode(7, 3)
    plans = [plan_episode(seed, index) for seed in range(20) for index in range(50)]
    for field in ("seed", "agent_seed"):
        assert len({getattr(plan, field) for plan in plans}) == len(plans)
    assert all(0 <= plan.seed < 2**63 and 0 <= plan.agent_seed < 2**63 for plan in plans)
    assert all(plan.seed != plan.agent_seed for plan in plans)


def test_seeds_do_not_change_between_versions() -> None:
    plan = plan_episode(0, 0)
    assert (plan.id, plan.seed, plan.agent_seed) == ("000000-d7078823", 2487172207026341923, 5486751199538813905)


def test_ids_sort_by_index() -> None:
    ids = [plan_episode(1, index).id for index in range(0, 999_999, 33_333)]
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    "wrong", [{"episodes": 0}, {"concurrency": 0}, {"max_steps": 0}, {"seed": -1}, {"seed": 2**63}], ids=str
)
def test_values_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        RolloutSettings(**{"environment": "echo", "episodes": 1, "seed": 1, **wrong})


def test_no_more_sessions_than_episodes() -> None:
    assert RolloutSettings(environment="echo", episodes=3, concurrency=8, seed=0).sessions == 3
    assert RolloutSettings(environment="echo", episodes=30, concurrency=8, seed=0).sessions == 8


def test_a_drawn_seed_is_short() -> None:
    assert all(0 <= draw_seed() < 2**32 for _ in range(50))
    assert len({draw_seed() for _ in range(50)}) > 40
