"""A guessing game with tools of every kind, and how its calls are told."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field

from openenv import (
    CallToolAction,
    CallToolObservation,
    Elicit,
    Observation,
    State,
    ToolContext,
    ToolEnvironment,
    tool,
)
from openenv.errors import ActionInvalid, ConfigurationError
from openenv.tools import ToolError


class Odd:
    """Something that no JSON Schema describes."""


def plain(self: Any, x: int = 1) -> str:
    return "hi"


def world(**methods: Any) -> Any:
    def reset(self: Any) -> Observation:
        return Observation()

    return type("World", (ToolEnvironment,), {"reset": reset, **methods})


def refused(words: str, **methods: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        world(**methods)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


class Tries(State):
    tries: int = 0


class Guess(ToolEnvironment[Tries]):
    """Find the hidden number."""

    def __init__(self) -> None:  # without super().__init__()
        self.secret = 0

    def reset(self, seed: int | None = None) -> Observation:
        self.secret = self.rng.randint(1, 100)
        return self.begin_with("Find the number.", level=1)

    @tool
    def guess(self, number: Annotated[int, Field(ge=1, le=100)]) -> str:
        """Guess the number."""
        self.state.tries += 1
        if number == self.secret:
            self.end(reward=1.0)
            return "right"
        self.award(-0.5)
        self.award(-0.25)
        return "higher" if number < self.secret else "lower"

    @tool(visible=lambda self: self.secret and self.state.tries > 1)
    def hint(self) -> int:
        return self.secret

    @tool(mode="production")
    def only_live(self) -> None:
        pass

    @tool
    def fails(self, how: str) -> Any:
        self.award(3)
        match how:
            case "raises":
                raise ValueError("no luck")
            case "exits":
                raise SystemExit(3)
            case "object":
                self.end()
                return object()
            case "refuses":
                raise ActionInvalid("not now")
        return None

    @tool
    def ask(self, context: ToolContext) -> str:
        self.award(5)
        self.end()
        answers = context.ask(name=Elicit("Who?", {"type": "object"}))
        return str(answers["name"]["content"]["name"])

    @tool
    def long(self, context: ToolContext) -> str:
        context.progress(1, 2)
        context.check()
        return "never"

    @tool
    def cut(self) -> None:
        self.end(truncated=True)


def begun() -> Guess:
    """In the middle of an episode."""
    environment = Guess()
    environment.begin_episode(7, "e1")
    environment.reset(seed=7)
    return environment


def call(environment: Any, name: str, /, **arguments: Any) -> CallToolObservation:
    found = environment.step(CallToolAction(tool_name=name, arguments=arguments))
    assert isinstance(found, CallToolObservation)
    return found


def error_of(observation: CallToolObservation) -> tuple[str, str]:
    assert isinstance(observation.error, ToolError)
    assert observation.result is None
    return observation.error.error_type.value, observation.error.message
