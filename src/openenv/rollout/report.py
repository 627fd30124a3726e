"""What has come of a rollout, while it runs and afterwards."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from openenv.errors import OpenEnvError
from openenv.record import RunStatus
from openenv.rollout.episode import Outcome
from openenv.rollout.statistics import Estimate, Interval, mean_estimate, wilson_interval

__all__ = ["Progress", "RolloutReport", "Tally"]


@dataclass(frozen=True)
class Progress:
    """Where a rollout stands.

    Attributes:
        episodes: How many it is to play.
        finished: Episodes that came to an end.
        failed: Episodes that failed.
        steps: Steps that were answered, in all of them.
        mean_return: Of the finished ones; NaN as long as there are none.
        elapsed_s: Time since the first episode began.
    """

    episodes: int
    finished: int
    failed: int
    steps: int
    mean_return: float
    elapsed_s: float

    @property
    def played(self) -> int:
        """Episodes that are over, one way or the other."""
        return self.finished + self.failed

    @property
    def episodes_per_s(self) -> float:
        """Mean rate so far."""
        return self.played / self.elapsed_s if self.elapsed_s > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class RolloutReport:
    """What has come of a rollout. Means are those of finished episodes; failed and interrupted ones have none.

    Attributes:
        run: Id of the run in the store; empty if it was told to stop before it began, which is not recorded.
        store: Directory of the store.
        environment: What was played, as the record calls it.
        agent: What played it.
        seed: Seed of the run.
        sessions: Sessions at the same time.
        status: ``complete``; ``interrupted`` if it was told to stop; ``failed`` if it had to.
        stopped_by: Why it had to stop before all episodes were played; empty if it had not.
        episodes: Episodes that were to be played.
        returns: Return of each finished episode, in the order of their index.
        lengths: Its length in steps, in the same order.
        cut: How many of these were ended by ``max_steps``.
        errors: Failed episodes by the code of their error.
        interrupted: Episodes that had begun when the run was stopped.
        steps: Steps that were answered, failed and interrupted episodes included.
        elapsed_s: Time from the first reset to the end.
    """

    run: str
    store: Path
    environment: str
    agent: str
    seed: int
    sessions: int
    status: RunStatus
    stopped_by: tuple[OpenEnvError, ...]
    episodes: int
    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    cut: int
    errors: Mapping[str, int]
    interrupted: int
    steps: int
    elapsed_s: float

    @property
    def finished(self) -> int:
        """Episodes that came to an end."""
        return len(self.returns)

    @property
    def failed(self) -> int:
        """Episodes that failed."""
        return sum(self.errors.values())

    def mean_return(self, confidence: float = 0.95) -> Estimate:
        """Mean return, with its interval.

        Raises:
            ValueError: No episode was finished.
        """
        return mean_estimate(self.returns, confidence)

    def mean_length(self, confidence: float = 0.95) -> Estimate:
        """Mean length in steps, with its interval.

        Raises:
            ValueError: No episode was finished.
        """
        return mean_estimate(self.lengths, confidence)

    def failure_rate(self, confidence: float = 0.95) -> Interval:
        """Interval of the rate at which episodes fail."""
        return wilson_interval(self.failed, self.finished + self.failed, confidence)

    @property
    def episodes_per_s(self) -> float:
        """Finished and failed episodes per second."""
        return (self.finished + self.failed) / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def steps_per_s(self) -> float:
        """Answered steps per second."""
        return self.steps / self.elapsed_s if self.elapsed_s > 0 else 0.0


class Tally:
    """Counts outcomes as they come, in any order."""

    def __init__(self) -> None:
        self.errors: Counter[str] = Counter()
        self.interrupted = 0
        self._finished: list[Outcome] = []
        self._running: list[Outcome] = []
        self._steps = 0
        self._sum = 0.0

    def begin(self, outcome: Outcome) -> None:
        """An episode begins; its steps count from now on."""
        self._running.append(outcome)

    def end(self, outcome: Outcome) -> None:
        """An episode that had begun is over, whichever way."""
        self._running.remove(outcome)
        self._steps += outcome.length
        if outcome.status == "done":
            self._finished.append(outcome)
            self._sum += outcome.return_
        elif outcome.status == "failed":
            self.errors[outcome.error] += 1
        elif outcome.has_begun:
            self.interrupted += 1

    @property
    def steps(self) -> int:
        """Steps that were answered so far."""
        return self._steps + sum(outcome.length for outcome in self._running)

    def progress(self, episodes: int, elapsed_s: float) -> Progress:
        """Where the rollout stands."""
        finished = len(self._finished)
        return Progress(
            episodes=episodes,
            finished=finished,
            failed=self.errors.total(),
            steps=self.steps,
            mean_return=self._sum / finished if finished else math.nan,
            elapsed_s=elapsed_s,
        )

    def in_order(self) -> list[Outcome]:
        """The finished ones, by index."""
        return sorted(self._finished, key=lambda outcome: outcome.index)
