"""A good environment with tools, and some that break rules by what their tools return."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from openenv import Environment, Observation, ToolEnvironment, tool
from openenv.testing import Rule


class Hint(BaseModel):
    parity: str


class GoodTools(ToolEnvironment):
    """Find the hidden number."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    deterministic = True

    def __init__(self) -> None:
        self._secret, self._guesses = 0, 0

    def reset(self, seed: int | None = None) -> Observation:
        self._secret, self._guesses = self.rng.randint(1, 10), 0
        return self.begin_with("Find the number from 1 to 10.")

    @tool
    def guess(self, number: Annotated[int, Field(ge=1, le=10)]) -> str:
        """Guess the number."""
        self._guesses += 1
        if number == self._secret:
            self.end(reward=1.0)
            return "right"
        return "higher" if number < self._secret else "lower"

    @tool(visible=lambda self: self._guesses > 1)
    def hint(self) -> Hint:
        return Hint(parity="even" if self._secret % 2 == 0 else "odd")

    @tool
    def history(self, most: Annotated[int, Field(ge=0)] = 3) -> list[int]:
        return [self._guesses][:most]

    @tool
    def refuses(self) -> None:
        raise ValueError("not like that")


class AwaitedTools(GoodTools):
    deterministic = False
    SUPPORTS_CONCURRENT_SESSIONS = False

    @tool
    async def later(self) -> int:
        return 1


class ReturnsAnother(GoodTools):
    def history(self, most: int = 3) -> list[int]:
        return ["none"]  # type: ignore[list-item]


class ReturnsAnObject(GoodTools):
    def history(self, most: int = 3) -> Any:
        return object()


class SaysNothing(GoodTools):
    @tool(output_schema={"type": "object"})
    def history(self, most: int = 3) -> Any:
        return 3


class NothingToDraw(ToolEnvironment):
    def reset(self) -> Observation:
        return Observation()

    @tool
    def match(self, word: Annotated[str, Field(pattern="^a+b$")]) -> None: ...


BAD_TOOLS: dict[type[Environment[Any, Any, Any]], Rule] = {
    ReturnsAnother: Rule.R22,
    ReturnsAnObject: Rule.R22,
    SaysNothing: Rule.R22,
    NothingToDraw: Rule.R12,
}
