"""What has come of the running episode so far, kept move by move."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from openenv.errors import ObservationInvalid, OpenEnvError, RewardInvalid
from openenv.protocol import Observed, OutcomeIs, Reset, Step
from openenv.session.episode.lifecycle import Phase

__all__ = ["Tally"]

_PHASES: Mapping[Phase, str] = {
    Phase.FRESH: "fresh",
    Phase.RUNNING: "running",
    Phase.DONE: "done",
    Phase.LOST: "lost",
    Phase.CLOSED: "lost",
}


class Tally:
    """Counts what is answered. An error counts as a step where its step has counted.

    Attributes:
        resets: Episodes that were begun, also where the reset was answered with an error.
        steps: Steps of the running one.
        others: Its reset, and errors that are no steps.
        total: Sum of its rewards that are numbers.
        reward: Of its last step.
        ended: Whether it was terminated and truncated, once it is over.
        episode_id: Its name, where there is one.
    """

    __slots__ = ("ended", "episode_id", "others", "resets", "reward", "steps", "total")

    def __init__(self) -> None:
        self.resets = self.steps = self.others = 0
        self.total: Any = 0.0  # a number of any kind: as the rewards are
        self.reward: Any = None
        self.ended = False, False
        self.episode_id: str | None = None

    @property
    def moves(self) -> int:
        """Answers of the running episode."""
        return self.steps + self.others

    @property
    def ordinal(self) -> int:
        """Number of the running episode, or of the first if none has begun, from 1."""
        return self.ordinal_of(self.resets)

    @staticmethod
    def ordinal_of(resets: int) -> int:
        """The same after so many resets."""
        return max(resets, 1)

    def answered(self, request: Reset | Step, answer: Observed) -> None:
        """A move was answered."""
        if isinstance(request, Reset):
            self.begun(request)
        else:
            self.steps += 1
            self.reward = reward = answer.reward
            if reward is not None:
                self.total += reward
        if answer.done:
            self.ended = answer.terminated, answer.truncated

    def begun(self, request: Reset) -> None:
        """A reset was answered."""
        self.resets += 1
        self.steps, self.others, self.total, self.reward = 0, 1, 0.0, None
        self.episode_id = request.episode_id

    def failed(self, request: Reset | Step, error: OpenEnvError) -> None:
        """A move was answered with an error that is no refusal."""
        if isinstance(request, Reset):  # the last episode is over all the same
            self.resets += 1
            self.others += self.steps + 1
            self.steps, self.total, self.reward = 0, 0.0, None
        elif isinstance(error, ObservationInvalid | RewardInvalid):
            self.steps += 1
            reward = error.details.get("reward")
            self.reward = reward if isinstance(reward, int | float) and math.isfinite(reward) else None
            self.total += self.reward or 0
            self.ended = True, False
        else:
            self.others += 1

    def outcome(self, phase: Phase) -> OutcomeIs:
        """What is told of it."""
        reward, (terminated, truncated) = self.reward, self.ended
        if hasattr(reward, "item"):  # a scalar of numpy
            reward = reward.item()
        total = float(self.total)
        if not math.isfinite(total):  # the sum of numbers that are too large for one
            total = math.copysign(sys.float_info.max, total) if total == total else 0.0
        is_done = phase is Phase.DONE
        return OutcomeIs(
            phase=_PHASES[phase],
            episode_id=None if phase is Phase.FRESH else self.episode_id,
            steps=self.steps,
            reward=reward,
            total_reward=total,
            done=is_done,
            terminated=is_done and terminated,
            truncated=is_done and truncated,
        )

    def branched(self) -> Tally:
        """The same for a session that begins where this one stands: of one episode, as far as it knows."""
        copy = Tally()
        for name in Tally.__slots__:
            setattr(copy, name, getattr(self, name))
        copy.resets = min(self.resets, 1)
        return copy
