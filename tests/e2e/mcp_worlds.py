"""Tool environments for tests with real clients."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field

from openenv import Observation
from openenv.environment import ToolEnvironment
from openenv.tools import Elicit, ToolContext, prompt, resource, tool


class Sum(BaseModel):
    """What ``add`` returns."""

    total: int


class Name(BaseModel):
    """What ``greet`` asks for."""

    name: str


class Workshop(ToolEnvironment):
    """A tool of each kind, a resource and a prompt."""

    SUPPORTS_CONCURRENT_SESSIONS: ClassVar[bool] = True

    def reset(self, seed: int | None = None) -> Observation:
        return Observation()

    @tool
    def add(self, a: int, b: int) -> Sum:
        """Add two numbers."""
        self.award(1.0)
        return Sum(total=a + b)

    @tool
    def break_off(self) -> str:
        """Always fail."""
        raise ValueError("it broke")

    @tool
    def work(self, steps: int, context: ToolContext) -> list[str]:
        """Work for some steps and tell of each."""
        for step in range(1, steps + 1):
            context.progress(step, steps)
        return ["done"] * steps

    @tool
    def greet(self, context: ToolContext) -> str:
        """Greet whoever is there, by name."""
        answer = context.ask(who=Elicit("Who are you?", Name))["who"]
        return f"Hello, {answer['content']['name']}!"

    @resource("workshop://rules")
    def rules(self) -> str:
        """The rules of the workshop."""
        return "be kind"

    @prompt
    def begin_work(self, who: str) -> str:
        """A prompt to begin with."""
        return f"begin, {who}"


class Game(ToolEnvironment):
    """Guess a number from 1 to 100."""

    SUPPORTS_CONCURRENT_SESSIONS: ClassVar[bool] = True
    deterministic: ClassVar[bool] = True

    def reset(self, seed: int | None = None) -> Observation:
        self._secret = self.rng.randint(1, 100)
        return Observation()

    @tool
    def guess(self, number: Annotated[int, Field(ge=1, le=100)]) -> Literal["higher", "lower", "correct"]:
        """Guess the number.

        Args:
            number: From 1 to 100.
        """
        if number == self._secret:
            self.end(reward=1.0)
            return "correct"
        self.award(-0.125)
        return "higher" if number < self._secret else "lower"
