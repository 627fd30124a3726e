"""The main job: an agent plays many episodes at once, and every step of them is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv.lazy import on_first_use

if TYPE_CHECKING:
    from openenv.rollout.agent import RANDOM, Agent, AgentFunction, agent_of, load_agent, random_agent
    from openenv.rollout.episode import AGENT_ERROR
    from openenv.rollout.plan import EpisodePlan, RolloutSettings, draw_seed, plan_episode
    from openenv.rollout.report import Progress, RolloutReport
    from openenv.rollout.runner import run_rollout
    from openenv.rollout.statistics import Estimate, Interval, mean_estimate, student_quantile, wilson_interval

_HOME = {
    "AGENT_ERROR": "openenv.rollout.episode",
    "Agent": "openenv.rollout.agent",
    "AgentFunction": "openenv.rollout.agent",
    "EpisodePlan": "openenv.rollout.plan",
    "Estimate": "openenv.rollout.statistics",
    "Interval": "openenv.rollout.statistics",
    "Progress": "openenv.rollout.report",
    "RANDOM": "openenv.rollout.agent",
    "RolloutReport": "openenv.rollout.report",
    "RolloutSettings": "openenv.rollout.plan",
    "agent_of": "openenv.rollout.agent",
    "draw_seed": "openenv.rollout.plan",
    "load_agent": "openenv.rollout.agent",
    "mean_estimate": "openenv.rollout.statistics",
    "plan_episode": "openenv.rollout.plan",
    "random_agent": "openenv.rollout.agent",
    "run_rollout": "openenv.rollout.runner",
    "student_quantile": "openenv.rollout.statistics",
    "wilson_interval": "openenv.rollout.statistics",
}

__all__ = [
    "AGENT_ERROR",
    "RANDOM",
    "Agent",
    "AgentFunction",
    "EpisodePlan",
    "Estimate",
    "Interval",
    "Progress",
    "RolloutReport",
    "RolloutSettings",
    "agent_of",
    "draw_seed",
    "load_agent",
    "mean_estimate",
    "plan_episode",
    "random_agent",
    "run_rollout",
    "student_quantile",
    "wilson_interval",
]

# who only shows what was recorded must not load clients
__getattr__ = on_first_use(__name__, _HOME)
