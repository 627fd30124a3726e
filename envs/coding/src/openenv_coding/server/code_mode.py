"""Tool environments whose agents may write code that calls the tools."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from openenv.environment import EnvironmentPlan, ToolEnvironment
from openenv.tools import CallToolAction, Tool, ToolContext, ToolError, ToolErrorType, tool
from openenv.types import StateT
from openenv_coding.models import CodeResult
from openenv_coding.server.code_desk import CodeDesk

__all__ = ["RUN_CODE", "CodeModeEnvironment"]

RUN_CODE = "run_code"
"""Name of the tool that runs code."""

_NOBODY = "no tool"  # a name that none can have


class CodeModeEnvironment(ToolEnvironment[StateT]):
    """A tool environment with one more tool, ``run_code``: Python in which the other tools are functions.

    Example::

        class Shop(CodeModeEnvironment):
            def reset(self, seed=None): ...

            @tool
            def price(self, item: str) -> int: ...

    An agent that runs ``sum(price(item) for item in ("lamp", "rug"))`` has made one step and two calls. Variables stay
    for the episode. Calls are checked as any others; a tool that fails raises ``ToolError`` in the code. Rewards, and
    the end of the episode, that calls bring are those of the step. What was called is under ``calls`` in the ``data``
    of the result, which agents are not shown. A tool that asks its caller something cannot do so from code.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True
    REQUIRES_SINGLE_THREAD_EXECUTOR = True  # steps wait: never in the server's own thread

    always_listed: ClassVar[frozenset[str]] = frozenset({RUN_CODE})

    sandbox: ClassVar[str] = "auto"
    """Level of the sandbox, as ``CodingEnvironment`` takes it; ``inline`` runs the code in this very process: for code
    that is trusted. Tools then take and return any objects, and nothing limits what the code does."""

    only_code: ClassVar[bool] = False
    """Whether agents are offered ``run_code`` alone; code can call the other tools all the same."""

    code_timeout_s: ClassVar[float] = 30.0
    """Seconds that code may run, the time in tools included; a call may ask for less, not for more."""

    max_calls_bytes: ClassVar[int] = 256 * 1024
    """How much of the calls of a step is kept as JSON; ``calls_left_out`` counts the others."""

    code_options: ClassVar[Mapping[str, Any]] = {}
    """Other arguments of ``CodingEnvironment``, such as ``memory_bytes`` or ``max_output_bytes``."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "close" in cls.__dict__:
            setattr(cls, "close", _closing(cls.__dict__["close"]))  # noqa: B010 - a method is assigned

    def begin_episode(self, seed: int | None, episode_id: str | None) -> None:
        """Called before each reset: the next code has a fresh interpreter."""
        super().begin_episode(seed, episode_id)
        self.code_desk.begin(seed)

    def end(self, reward: float = 0.0, truncated: bool = False) -> None:
        """End the episode with the running call, and add to its reward; code can call no more tools then."""
        super().end(reward, truncated)
        self.code_desk.is_over = True

    def visible_tools(self) -> list[Tool]:
        """The tools that agents can call now."""
        return [one for one in super().visible_tools() if one.name == RUN_CODE or not self.only_code]

    def tools_in_code(self) -> list[Tool]:
        """The tools that code can call now."""
        return [one for one in super().visible_tools() if one.name != RUN_CODE]

    async def act(self, action: Any, timeout_s: float | None = None, **options: Any) -> Any:
        """What ``step`` and ``step_async`` do."""
        if not self.only_code or not isinstance(action, CallToolAction) or action.tool_name == RUN_CODE:
            return await super().act(action, timeout_s, **options)
        seen = await super().act(action.model_copy(update={"tool_name": _NOBODY}), timeout_s, **options)
        seen.tool_name = action.tool_name
        said = f"there is no tool {action.tool_name!r} to be called by itself; write code that calls it: {RUN_CODE}"
        seen.error = ToolError(error_type=ToolErrorType.TOOL_NOT_FOUND, message=said)
        return seen

    def close(self) -> Any:
        """Give back what the environment holds; with toolsets, to be awaited."""
        self.code_desk.close()
        return super().close()

    @tool(output_schema=CodeResult.model_json_schema())
    def run_code(
        self,
        code: Annotated[str, Field(description="Python source; variables of earlier calls are there.")],
        context: ToolContext,
        timeout_s: Annotated[
            float | None, Field(gt=0, description="To give it less time than it has, in seconds.")
        ] = None,
    ) -> Any:
        """Run Python code in which the tools are functions of the same names.

        list_tools() tells which there are, help(name) what one takes. A call that fails raises ToolError. Output and
        the value of a last expression are shown; variables stay until the next episode.
        """
        run = self.code_desk.run_aside if EnvironmentPlan.of(type(self)).is_async else self.code_desk.run
        return run(code, min(timeout_s or self.code_timeout_s, self.code_timeout_s), context)

    @property
    def code_desk(self) -> CodeDesk:
        """What runs the code of this environment."""
        found: CodeDesk | None = self.__dict__.get("_openenv_code_desk")
        if found is None:  # also where a subclass skips super().__init__
            desk = CodeDesk(self, self.sandbox, self.code_options, self.max_calls_bytes)
            found = self.__dict__["_openenv_code_desk"] = desk
        return found


def _closing(close: Callable[..., Any]) -> Callable[..., Any]:
    """A close that ends the interpreter too, whether or not it calls ``super().close()``."""

    @functools.wraps(close)
    def closed(self: CodeModeEnvironment[Any], *positional: Any, **keywords: Any) -> Any:
        self.code_desk.close()
        return close(self, *positional, **keywords)

    return closed
