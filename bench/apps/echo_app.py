"""The served environment: one file, the same on both sides, in the names that both know."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from openenv.core.env_server.http_server import create_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State


class EchoAction(Action):
    """What to echo."""

    message: str


class EchoObservation(Observation):
    """The echo, and how many there were."""

    message: str
    counter: int


class EchoEnvironment(Environment[EchoAction, EchoObservation, State]):
    """Does next to nothing, so that what is measured is the server."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        super().__init__()
        self._state = State(episode_id=str(uuid4()), step_count=0)

    def reset(self, seed: int | None = None, episode_id: str | None = None, **options: Any) -> EchoObservation:
        """Begin counting."""
        self._state = State(episode_id=episode_id or str(uuid4()), step_count=0)
        return EchoObservation(message="ready", counter=0, done=False, reward=0.0)

    def step(self, action: EchoAction, timeout_s: float | None = None, **options: Any) -> EchoObservation:
        """Echo; the reward is the message's length."""
        self._state.step_count += 1
        return EchoObservation(
            message=action.message,
            counter=self._state.step_count,
            done=False,
            reward=float(len(action.message)),
        )

    @property
    def state(self) -> State:
        """The count."""
        return self._state


app = create_app(EchoEnvironment, EchoAction, EchoObservation, env_name="echo", max_concurrent_envs=100)
