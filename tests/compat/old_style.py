"""Three environments as they are written for OpenEnv up to 0.10, with their clients."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from pydantic import Field

from openenv.core.client_types import StepResult
from openenv.core.env_client import EnvClient
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, EnvironmentMetadata, Observation, State

# 1: generic parameters, and a typed client with the three hooks -------------------------------------


class CounterAction(Action):
    add: int


class CounterObservation(Observation):
    total: int = 0
    legal: list[int] = []  # noqa: RUF012 - as authors write it


class CounterState(State):
    target: int = 10


class CounterEnvironment(Environment[CounterAction, CounterObservation, CounterState]):
    """Counts up to ten."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, target: int = 10):
        super().__init__()
        self._target = target
        self._total = 0
        self._state = CounterState(episode_id=str(uuid4()), step_count=0, target=target)

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> CounterObservation:
        self._total = kwargs.get("start", 0)
        self._state = CounterState(episode_id=episode_id or str(uuid4()), step_count=0, target=self._target)
        return CounterObservation(total=self._total, legal=[1, 2], done=False, reward=0.0)

    def step(self, action: CounterAction, timeout_s: float | None = None, **kwargs: Any) -> CounterObservation:
        self._state.step_count += 1
        self._total += action.add
        done = self._total >= self._target
        return CounterObservation(
            total=self._total, legal=[] if done else [1, 2], done=done, reward=1.0 if done else 0.0
        )

    @property
    def state(self) -> CounterState:
        return self._state


class CounterClient(EnvClient[CounterAction, CounterObservation, CounterState]):
    payloads: list[dict[str, Any]]

    def _step_payload(self, action: CounterAction) -> dict[str, Any]:
        return {"add": action.add}

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[CounterObservation]:
        vars(self).setdefault("payloads", []).append(payload)
        seen = payload.get("observation", {})
        observation = CounterObservation(
            total=seen.get("total", 0),
            legal=seen.get("legal", []),
            done=payload.get("done", False),
            reward=payload.get("reward"),
            metadata=seen.get("metadata", {}),
        )
        return StepResult(observation=observation, reward=payload.get("reward"), done=payload.get("done", False))

    def _parse_state(self, payload: dict[str, Any]) -> CounterState:
        return CounterState(
            episode_id=payload.get("episode_id"),
            step_count=payload.get("step_count", 0),
            target=payload.get("target", 10),
        )


# 2: no generics, step(self, action) alone, state a method, no super().__init__() --------------------


@dataclass
class GuessResult:
    """A result class of the author's own, with a field that no other has."""

    observation: Any
    reward: float | None = None
    done: bool = False
    info: dict[str, Any] | None = None


class GuessAction(Action):
    guess: str


class GuessObservation(Observation):
    hint: str


class GuessEnvironment(Environment):
    def __init__(self):
        self.secret = "fish"
        self.steps = 0

    def reset(self):
        self.steps = 0
        return GuessObservation(hint="four letters")

    def step(self, action):
        self.steps += 1
        right = action.guess == self.secret
        return GuessObservation(hint="right" if right else "wrong", reward=float(right), done=right)

    def state(self):
        return State(episode_id="only", step_count=self.steps)


class GuessClient(EnvClient[GuessAction, GuessObservation, State]):
    def _step_payload(self, action):
        return action.model_dump()

    def _parse_result(self, payload):
        observation = GuessObservation(**payload["observation"])
        return GuessResult(observation, payload["reward"], payload["done"], info=payload.get("metadata"))

    def _parse_state(self, payload):
        return State(**payload)


# 3: asynchronous, with random numbers, metadata and a description of its own ------------------------


class DiceAction(Action):
    rolls: int = Field(default=1, ge=1)


class DiceObservation(Observation):
    dice: list[int] = []  # noqa: RUF012 - as authors write it


class DiceEnvironment(Environment[DiceAction, DiceObservation, State]):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self):
        super().__init__()
        self.rng = random.Random(0)
        self._rng = "not a random number generator"
        self._state = State()

    def reset(self, seed=None, episode_id=None):
        raise NotImplementedError("use reset_async")

    def step(self, action):
        raise NotImplementedError("use step_async")

    async def reset_async(self, seed=None, episode_id=None, **kwargs):
        if seed is not None:
            self.rng = random.Random(seed)
        self._state = State(episode_id=episode_id, step_count=0, table="green")
        return DiceObservation()

    async def step_async(self, action, timeout_s=None, **kwargs):
        self._state.step_count += 1
        dice = [self.rng.randint(1, 6) for _ in range(action.rolls)]
        return DiceObservation(dice=dice, reward=sum(dice), metadata={"best": max(dice)})

    @property
    def state(self):
        return self._state

    def get_metadata(self):
        return EnvironmentMetadata(name="dice", description="Rolls dice.", version="0.3.0", author="me")


class DiceClient(EnvClient[DiceAction, DiceObservation, State]):
    def _step_payload(self, action):
        return action.model_dump(exclude={"metadata"})

    def _parse_result(self, payload):
        return StepResult(
            observation=DiceObservation(**payload["observation"]),
            reward=payload.get("reward"),
            done=bool(payload.get("done")),
            metadata=payload.get("metadata"),
        )

    def _parse_state(self, payload):
        return State(**payload)
