"""A served environment whose place and journal are set by the command line: kept.py PORT ISOLATION JOURNAL MODE."""

from __future__ import annotations

import sys
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


if __name__ == "__main__":
    import kept  # as a module of its own, so that worker processes can import it

    from openenv.app import create_app
    from openenv.app.serve import serve

    port, isolation, journal, mode = sys.argv[1:5]
    app = create_app(
        kept.Echo,
        max_concurrent_envs=100,
        isolation=isolation,  # type: ignore[arg-type]  # as the benchmark names it
        journal=journal or None,
        journal_mode=mode,  # type: ignore[arg-type]  # the same
    )
    serve(app, port=int(port))
