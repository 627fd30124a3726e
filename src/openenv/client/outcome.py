"""What has come of an episode, as its server tells it."""

from __future__ import annotations

from dataclasses import dataclass

from openenv.protocol import OutcomeIs

__all__ = ["EpisodeOutcome", "outcome_of"]


@dataclass(frozen=True)
class EpisodeOutcome:
    """What has come of an episode so far, whoever took its steps: this client, or an agent over MCP.

    Attributes:
        phase: ``fresh`` (none was begun), ``running``, ``done`` or ``lost``.
        episode_id: Its name, where there is one.
        steps: Steps that were answered; a tool call is one, also if it failed.
        reward: Of the last step; ``None`` where none was given.
        total_reward: Sum of the rewards so far.
        done: Whether it is over.
        terminated: Whether it ended by itself.
        truncated: Whether it was cut off.
    """

    phase: str
    episode_id: str | None
    steps: int
    reward: float | None
    total_reward: float
    done: bool
    terminated: bool
    truncated: bool


def outcome_of(told: OutcomeIs) -> EpisodeOutcome:
    """What a server told."""
    return EpisodeOutcome(
        phase=told.phase,
        episode_id=told.episode_id,
        steps=told.steps,
        reward=told.reward,
        total_reward=told.total_reward,
        done=told.done,
        terminated=told.terminated,
        truncated=told.truncated,
    )
