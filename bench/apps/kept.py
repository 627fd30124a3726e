"""An environment that can be played again, and does next to nothing."""

from __future__ import annotations

from typing import Any

from openenv import Action, Environment, Observation, State


class Say(Action):
    """What to echo."""

    message: str


class Heard(Observation):
    """The echo, and how many there were."""

    message: str = ""
    counter: int = 0


class Echo(Environment[Say, Heard, State]):
    """Does next to nothing, so that what is measured is what is around it."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    deterministic = True

    def __init__(self) -> None:
        self._count = 0

    def reset(self, seed: int | None = None, **options: Any) -> Heard:
        """Begin counting."""
        self._count = 0
        return Heard(message="ready")

    def step(self, action: Say) -> Heard:
        """Echo; the reward is the message's length."""
        self._count += 1
        return Heard(message=action.message, counter=self._count, reward=float(len(action.message)))

    @property
    def state(self) -> State:
        """The count."""
        return State(step_count=self._count)
