"""What a tool environment keeps of itself, beside what its author keeps."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from openenv.environment.offered import offered_by
from openenv.environment.plan import EnvironmentPlan
from openenv.environment.toolbox import Toolbox
from openenv.errors import ConfigurationError
from openenv.tools import CallToolObservation, ToolError
from openenv.tools.results import CallResult
from openenv.types import State

__all__ = ["Book", "Mark", "book_of", "new_state"]


@dataclass(frozen=True)
class Mark:
    """What a call may have changed, as it was before."""

    step_count: int
    reward: float | None
    is_over: bool
    is_truncated: bool


@dataclass
class Book:
    """What a tool environment keeps of itself beside what its author keeps.

    Attributes:
        toolbox: Its tools.
        state: The state it keeps, unless its author does.
        reward: What the running call was given; ``None``: nothing.
        is_over, is_truncated: Whether the episode has ended, and was cut.
        begun: Whether the episode that the next reset begins has been told of.
        resetting, closing: Whether a reset, or a close, runs.
        running: The task of the asynchronous tool that runs.
        is_cancelling: Whether that was to end.
        task: What was told by ``begin_with`` at last; that of one episode is not shown in the next.
        calls: What code called; see ``ToolEnvironment.code_calls``.
    """

    toolbox: Toolbox
    state: Any
    reward: float | None = None
    is_over: bool = False
    is_truncated: bool = False
    begun: bool = False
    resetting: bool = False
    closing: bool = False
    running: asyncio.Task[Any] | None = None
    is_cancelling: bool = False
    task: str | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)

    def marked(self) -> Mark:
        """What a call may change."""
        return Mark(self.state.step_count, self.reward, self.is_over, self.is_truncated)

    def back_to(self, mark: Mark) -> None:
        """Forget the call that has begun since."""
        self.state.step_count = mark.step_count
        self.reward, self.is_over, self.is_truncated = mark.reward, mark.is_over, mark.is_truncated

    def told(self, name: str, result: Any, error: ToolError | None) -> CallToolObservation:
        """The observation of a call that is over; its reward is used up."""
        reward, self.reward = self.reward, None
        result = None if result is None else CallResult.of(result)
        if not self.is_over:
            return CallToolObservation(tool_name=name, result=result, error=error, reward=reward)
        return CallToolObservation(
            tool_name=name, result=result, error=error, reward=reward, done=True,
            terminated=not self.is_truncated, truncated=self.is_truncated,
        )  # fmt: skip


def book_of(environment: object) -> Book:
    """The book of an environment, made when it is first asked for: a constructor need not call ``super().__init__``."""
    found: Book | None = environment.__dict__.get("_openenv_book")
    if found is None:
        cls: Any = type(environment)
        toolbox = Toolbox(offered_by(cls).tools, [one.fresh() for one in cls.toolsets])
        found = environment.__dict__["_openenv_book"] = Book(toolbox, new_state(cls))
    return found


def new_state(cls: Any) -> Any:
    """A state as an episode of the class begins with.

    Raises:
        ConfigurationError: Its class is no State, or has fields without a default.
    """
    kind = EnvironmentPlan.of(cls).state_type
    if not issubclass(kind, State):
        return State()  # where the author keeps one of another kind
    try:
        return kind()
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, one["loc"])) or one["msg"] for one in error.errors())
        raise ConfigurationError(
            f"{cls.__name__} cannot begin with a {kind.__name__}, since some fields have no default: {fields}; "
            "give them one, or make state a property of your own"
        ) from error
