"""The environment that answers what it is told."""

from __future__ import annotations

from openenv import Environment
from openenv_echo.models import EchoAction, EchoObservation, EchoState

__all__ = ["REWARD_PER_CHARACTER", "EchoEnvironment"]

REWARD_PER_CHARACTER = 0.1


class EchoEnvironment(Environment[EchoAction, EchoObservation, EchoState]):
    """Repeats every message, for a reward of 0.1 per character.

    Nothing in it is random, and an episode goes on until the next reset: it never ends by itself.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True
    deterministic = True

    def __init__(self) -> None:
        self._state = EchoState()

    def reset(self, episode_id: str | None = None) -> EchoObservation:
        """Forget what was said."""
        self._state = EchoState(episode_id=episode_id)
        return EchoObservation(message="", length=0)

    def step(self, action: EchoAction) -> EchoObservation:
        """Repeat the message. The reward is a tenth of its length, 0 or more."""
        length = len(action.message)
        self._state.step_count += 1
        self._state.characters += length
        return EchoObservation(message=action.message, length=length, reward=length * REWARD_PER_CHARACTER)

    @property
    def state(self) -> EchoState:
        return self._state
