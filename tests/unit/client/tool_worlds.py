"""Environments of tools, for the tests of clients."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import BaseModel, Field

from openenv import Elicit, Observation, ToolContext, ToolEnvironment, tool

__all__ = ["Dying", "Guessing", "Hint"]


class Hint(BaseModel):
    """Where the number is."""

    low: int
    high: int


class Guessing(ToolEnvironment):
    """Find the hidden number, which is 37."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    deterministic = True

    def __init__(self) -> None:
        self.has_begun = False

    def reset(self, seed: int | None = None) -> Observation:
        self.has_begun = True
        return self.begin_with("Find the number.")

    @tool
    def guess(self, number: Annotated[int, Field(ge=1, le=100)]) -> str:
        """Guess the number.

        Args:
            number: From 1 to 100.
        """
        if number == 37:
            self.end(reward=1.0)
            return "right"
        self.award(-0.25)
        return "higher" if number < 37 else "lower"

    @tool
    def hint(self) -> Hint:
        """Where it is."""
        return Hint(low=30, high=40)

    @tool
    def fail(self, name: str = "it") -> str:
        """Fails."""
        raise ValueError(f"{name} is broken")

    @tool(visible=lambda environment: environment.has_begun)
    def late(self) -> None:
        """There is no such tool before the first reset."""

    @tool
    def ask(self, context: ToolContext) -> str:
        """Asks before it acts."""
        answers = context.ask(name=Elicit("What is your name?", schema={"name": {"type": "string"}}))
        return f"hello {answers['name']['content']['name']}"


class Dying(ToolEnvironment):
    """Takes its process with it, and cannot be brought back."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed: int | None = None) -> Observation:
        return self.begin_with("Live.")

    @tool
    def die(self) -> None:
        """Die."""
        os._exit(3)
