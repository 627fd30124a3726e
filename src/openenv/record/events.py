"""The form of a recorded event, and of the run that it belongs to."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import msgspec

__all__ = ["EndStatus", "Event", "Kind", "Run", "RunStatus"]

Kind = Literal["reset", "step", "error", "end"]
EndStatus = Literal["done", "failed", "interrupted"]
RunStatus = Literal["running", "complete", "interrupted", "failed"]


class Event(msgspec.Struct, frozen=True):
    """One thing that happened in an episode.

    ``request`` and ``reply`` are made of JSON values, and of what protocol v2 carries beside them: numpy arrays, bytes,
    dates, tuples, NaN and the like. The store keeps them as they are; models become dicts.

    Attributes:
        run: Id of the run.
        episode: Id of the episode, unique in its run.
        index: Position in the episode, from 0, which is the reset.
        kind: ``reset`` and ``step`` were answered; ``error`` was not, whichever of the two it was; ``end`` closes the
            episode.
        at: When the request was made, in seconds since 1970 (UTC).
        duration_s: Time from the request to its reply, in seconds; 0 for ``end``.
        request: ``{"seed", "episode_id"}`` of a reset, its options, and of a rollout ``lock``: the digest of the
            environment lock that it was played with; ``{"action"}`` of a step, ``{}`` of an end.
        reply: ``{"observation", "reward", "done", "terminated", "truncated", "metadata"}``; of an error
            ``{"code", "message", "details"}``; of an end ``{"status": "done" | "failed" | "interrupted"}``.
    """

    run: str
    episode: str
    index: int
    kind: Kind
    at: float
    duration_s: float
    request: Any
    reply: Any

    @property
    def reward(self) -> float | None:
        """Reward of a step; None for every other kind, and where no finite number was given."""
        value = _get(self.reply, "reward") if self.kind == "step" else None
        if not isinstance(value, (int, float)):
            return None
        try:
            number = float(value)
        except OverflowError:  # an int beyond the largest float
            return None
        return number if math.isfinite(number) else None

    @property
    def seed(self) -> int | None:
        """Seed of an episode, told by its first event: the one really used if the reply says so, else the one sent."""
        if self.index != 0:
            return None
        for value in (_get(_get(self.reply, "metadata"), "seed"), _get(self.request, "seed")):
            if isinstance(value, int) and not isinstance(value, bool):
                return value
        return None

    @property
    def status(self) -> EndStatus | None:
        """How the episode finished, told by its ``end``; None for every other kind."""
        value = _get(self.reply, "status") if self.kind == "end" else None
        return value if value in get_args(EndStatus) else None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One recording: all episodes of one command.

    Attributes:
        id: Unique in its store.
        started_at: In seconds since 1970 (UTC).
        ended_at: The same; None while it runs, and for ever if its process was killed.
        status: ``running`` until the run says otherwise, so also after its process was killed.
        environment: What was played: a name, path or URL.
        agent: What played it.
        seed: Seed of the run, from which those of its episodes come; None if they had none.
        settings: What else the run was asked to do, made of JSON values.
        versions: Version of each library that matters, by name.
    """

    id: str
    started_at: float
    ended_at: float | None = None
    status: RunStatus = "running"
    environment: str
    agent: str
    seed: int | None = None
    settings: dict[str, Any] = {}
    versions: dict[str, str] = {}


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None
