"""What an episode's events say about it as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from openenv.errors import RecordError
from openenv.record.events import Event

__all__ = ["EpisodeStatus", "EpisodeSummary", "Trajectory"]

EpisodeStatus = Literal["running", "done", "failed", "interrupted"]


class EpisodeSummary(msgspec.Struct, frozen=True):
    """An episode in one row.

    Attributes:
        episode: Id of the episode.
        length: Number of steps that were answered; errors do not count.
        return_: Sum of their rewards; a step without a reward adds nothing.
        status: ``running`` for an episode without an end, so also one whose process was killed.
        seed: Seed that the environment really used, as far as it was told.
        started_at: When its first request was made, in seconds since 1970 (UTC).
        duration_s: Time from there to its last reply, in seconds.
    """

    episode: str
    length: int
    return_: float
    status: EpisodeStatus
    seed: int | None
    started_at: float
    duration_s: float


@dataclass(frozen=True)
class Trajectory:
    """A view of one episode's events, which are in order of their index. ``Trajectory.of`` makes it from any order."""

    events: tuple[Event, ...]

    @classmethod
    def of(cls, events: Iterable[Event]) -> Trajectory:
        """A view of these events.

        Raises:
            RecordError: There are none, or they are of several episodes.
        """
        ordered = tuple(sorted(events, key=lambda event: event.index))
        if not ordered:
            raise RecordError("no events, so no trajectory; pass the events of one episode")
        if len({(event.run, event.episode) for event in ordered}) > 1:
            raise RecordError("events of several episodes; pass the events of one, such as events(run, episode)")
        return cls(ordered)

    @property
    def run(self) -> str:
        """Id of the run."""
        return self.events[0].run

    @property
    def episode(self) -> str:
        """Id of the episode."""
        return self.events[0].episode

    @property
    def seed(self) -> int | None:
        """Seed that the environment really used, as far as it was told."""
        return self.events[0].seed

    @property
    def steps(self) -> tuple[Event, ...]:
        """The steps that were answered; errors are not among them."""
        return tuple(event for event in self.events if event.kind == "step")

    @property
    def length(self) -> int:
        """Number of steps."""
        return len(self.steps)

    @property
    def actions(self) -> list[Any]:
        """The action of each step, as it was sent."""
        return [event.request["action"] for event in self.steps]

    @property
    def rewards(self) -> list[float | None]:
        """The reward of each step; None where there was none."""
        return [event.reward for event in self.steps]

    @property
    def return_(self) -> float:
        """Sum of the rewards; a step without one adds nothing."""
        return sum((reward for reward in self.rewards if reward is not None), 0.0)

    @property
    def status(self) -> EpisodeStatus:
        """How the episode finished; ``running`` if its events do not say."""
        told = [event.status for event in self.events if event.status is not None]
        return told[-1] if told else "running"

    @property
    def summary(self) -> EpisodeSummary:
        """The same episode in one row."""
        started_at = min(event.at for event in self.events)
        return EpisodeSummary(
            episode=self.episode,
            length=self.length,
            return_=self.return_,
            status=self.status,
            seed=self.seed,
            started_at=started_at,
            duration_s=max(event.at + event.duration_s for event in self.events) - started_at,
        )
