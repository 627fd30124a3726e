"""An environment that is acted in by calling tools."""

from __future__ import annotations

import asyncio
import inspect
import types
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from openenv.environment.base import Environment
from openenv.environment.code_tools import code_functions
from openenv.environment.offers import announce_changes, answered, lists_of
from openenv.environment.plan import EnvironmentPlan
from openenv.environment.tool_book import book_of, new_state
from openenv.environment.tool_calls import answer_of, found_for, run, searched, unwrapped
from openenv.environment.tool_class import prepare, without_waiting
from openenv.environment.tool_search import CALL, MANY, SEARCH
from openenv.errors import ActionInvalid, ConfigurationError
from openenv.tools import (
    CallToolAction,
    CallToolObservation,
    Changed,
    ListToolsAction,
    ListToolsObservation,
    Mode,
    Note,
    Tool,
    ToolContext,
    ToolInfo,
    Toolset,
)
from openenv.tools.notes import NoteSink
from openenv.types import Observation, StateT

__all__ = ["ToolEnvironment", "with_toolsets"]


if TYPE_CHECKING:

    class _Environment(Environment[Any, Any, StateT]):
        """A reset may return any Observation, and a step what ``step_other`` returns."""

else:
    _Environment = Environment[CallToolAction, CallToolObservation, StateT]


class ToolEnvironment(_Environment[StateT]):
    """A world an agent acts in by calling tools: write ``reset`` and methods marked with ``@tool``.

    Example::

        class Guess(ToolEnvironment):
            def reset(self, seed=None):
                self._secret = self.rng.randint(1, 100)
                return self.begin_with("Find the number from 1 to 100.")

            @tool
            def guess(self, number: int) -> str:
                if number == self._secret:
                    self.end(reward=1.0)
                    return "right"
                return "higher" if number < self._secret else "lower"

    Each call is a step: it counts, may be rewarded with ``award`` and may end the episode with ``end``. A call that
    gets neither has the reward ``None``. A call of a tool that does not exist, or with arguments that do not fit, is a
    step too; its observation says in ``error`` what is wrong. The state is kept: ``ToolEnvironment[MyState]`` makes it
    a ``MyState``, which has defaults for all its fields, new with every episode.

    The environment is asynchronous if a marked method is, or if toolsets are mounted.
    """

    offers_tools: ClassVar[bool] = True

    instructions: ClassVar[str | None] = None
    """What an agent is told of the environment when it connects."""
    toolsets: ClassVar[Sequence[Toolset]] = ()
    """Tools from elsewhere. Each instance has ``fresh()`` ones of its own, which ``begin()`` at every reset."""

    search_tools: ClassVar[bool | None] = None
    """Whether agents see ``search_tools`` and ``call_tool`` in place of the tools; ``None``: with more than 30."""

    always_listed: ClassVar[frozenset[str]] = frozenset()
    """Names of tools that agents see beside the search, such as one that ends the episode."""

    task: str | None = None
    """What is to be done in this episode; agents are told when they connect, and read it as ``episode://task``."""

    serving_mode: Mode = "simulation"
    """Set by the server: which tools are there."""

    note_sink: Callable[[Note], None] = NoteSink()
    """Set by the server: takes what is said during a call."""

    is_cancelled: Callable[[], bool] = bool
    """Set by the server: whether the caller has given up the running call."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        prepare(cls)

    if TYPE_CHECKING:

        def reset(self, *args: Any, **kwargs: Any) -> Any: ...
        def step(self, action: Any, *args: Any, **kwargs: Any) -> Any: ...
        async def reset_async(self, *args: Any, **kwargs: Any) -> Any: ...
        async def step_async(self, action: Any, *args: Any, **kwargs: Any) -> Any: ...
    else:

        def step(self, action: Any, timeout_s: float | None = None, **options: Any) -> Any:
            """Take an action: call a tool, list the tools, or whatever ``step_other`` takes."""
            return self._openenv_driven(self.act(action, timeout_s, **options))

    def step_other(self, action: Any, timeout_s: float | None = None, **options: Any) -> Any:
        """Take an action that is no call of a tool; override it for actions of your own, and count them.

        Raises:
            ActionInvalid: There are none.
        """
        raise ActionInvalid(
            f"{type(self).__name__} is acted in by calling tools, not by a {type(action).__name__}: "
            "pass CallToolAction(tool_name=..., arguments={...})"
        )

    @property
    def state(self) -> StateT:
        """Where the episode stands. Overridden, it is all the author's, the counting of steps included."""
        state: StateT = book_of(self).state
        return state

    if not TYPE_CHECKING:  # else authors could not override it with a property of their own

        @state.setter
        def state(self, value: Any) -> None:
            raise AttributeError(
                f"the state of {type(self).__name__} is kept for it: name its class, ToolEnvironment[MyState], and "
                "write to its fields, as self.state.score = 1"
            )

    def begin_with(self, task: str, **metadata: Any) -> Observation:
        """Set ``task``, and make the observation that tells it, in its metadata, for ``reset`` to return."""
        self.task = book_of(self).task = task
        return Observation(metadata={"task": task, **metadata})

    def award(self, reward: float) -> None:
        """Add to the reward of the running call."""
        if isinstance(reward, str):  # which float() would take
            raise TypeError(f"a reward is a number, not {reward!r:.80}")
        book = book_of(self)
        book.reward = float(reward) + (book.reward or 0.0)

    def end(self, reward: float = 0.0, truncated: bool = False) -> None:
        """End the episode with the running call, and add to its reward.

        Args:
            reward: As of ``award``.
            truncated: Whether the episode is cut from outside, by a limit; else it has come to its own end.
        """
        self.award(reward)
        book = book_of(self)
        book.is_over, book.is_truncated = True, truncated

    def begin_episode(self, seed: int | None, episode_id: str | None) -> None:
        """Called before each reset: seeds ``rng``, makes a new state and forgets how the last episode went."""
        super().begin_episode(seed, episode_id)
        book = book_of(self)
        book.state = new_state(type(self))
        book.state.episode_id = episode_id
        book.reward, book.is_over, book.is_truncated, book.begun = None, False, False, True
        book.calls.clear()
        if book.task is not None and self.task == book.task:
            del self.task

    def add_tool(self, tool: Tool | Callable[..., Any], **options: Any) -> None:
        """Add a tool to this instance.

        Args:
            tool: A ``Tool``, or a function, which is not given the environment. One that has to be awaited needs an
                asynchronous environment.
            **options: As of ``@tool``, for a function.

        Raises:
            ConfigurationError: Its name is taken, or it cannot be awaited.
        """
        made = tool if isinstance(tool, Tool) else Tool.of(tool, **options)
        if made.is_async and not self.awaits:
            raise ConfigurationError(
                f"{made.name} is async, but nothing else of {type(self).__name__} is; make it sync"
            )
        book_of(self).toolbox.add(made)

    def deadlines(self) -> dict[str, float]:
        """Seconds that calls of tools may take, by name, where the tool cannot be ended but with its environment."""
        found = book_of(self).toolbox
        return {
            one.tool.name: one.tool.timeout_s
            for one in found
            if one.toolset is None and one.tool.timeout_s is not None and not one.tool.is_async
        }

    @property
    def awaits(self) -> bool:
        """Whether tools may be asynchronous."""
        return EnvironmentPlan.of(type(self)).is_async

    def announce(self, what: Literal["tools", "prompts", "resources", "resource"], uri: str = "") -> None:
        """Tell agents that a list is another now, or what the ``resource`` of that URI holds.

        What ``visible`` shows and hides is announced without this.
        """
        self.note_sink(Changed(what, uri))

    def offer(self, method: str, params: dict[str, Any]) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """What MCP asks beside calls, answered in its shapes: ``tools/list``, ``resources/read``, ``prompts/get`` ...

        Reading changes nothing. ``params`` may carry ``inputs`` and ``capabilities`` as a ``CallToolAction`` does, and
        for ``tools/list`` ``all``, which lists the tools where agents are shown a search. ``about`` tells
        ``instructions`` and ``capabilities``.

        Returns:
            The answer, to be awaited where the environment is asynchronous.

        Raises:
            InvalidRequest: There is no such thing.
            InputNeeded: Something is asked first.
        """
        answer = self._openenv_offered(method, params)
        return answer if EnvironmentPlan.of(type(self)).is_async else self._openenv_driven(answer)

    def cancel_call(self) -> None:
        """End the asynchronous tool that runs, if one does; from any thread."""
        book = book_of(self)
        task = book.running
        if task is not None:
            book.is_cancelling = True
            task.get_loop().call_soon_threadsafe(task.cancel)

    @property
    def code_calls(self) -> list[dict[str, Any]]:
        """What the functions of ``callables`` were called with in this episode, and gave, or why they failed: dicts
        of ``tool_name``, ``arguments`` and ``result`` or ``error``."""
        return book_of(self).calls

    def callables(self) -> dict[str, Callable[..., Any]]:
        """The tools that are there now as Python functions, for code that calls them.

        They check their arguments, return what the tool returns and raise what it raises; rewards go to the step that
        runs. Those of asynchronous tools and toolsets are to be awaited. A name that is none in Python has ``_`` for
        what does not fit.
        """
        found = book_of(self).toolbox.there(self, self.serving_mode)
        context = ToolContext(sink=self.note_sink, is_cancelled=self.is_cancelled)
        return code_functions(self, found, book_of(self).calls, context)

    def visible_tools(self) -> list[Tool]:
        """The tools that can be called now."""
        return [found.tool for found in book_of(self).toolbox.there(self, self.serving_mode)]

    async def act(self, action: Any, timeout_s: float | None = None, **options: Any) -> Any:
        """What ``step`` and ``step_async`` do. Where the environment is not asynchronous it waits for nothing."""
        if isinstance(action, CallToolAction):
            return await self._openenv_called(action)
        if isinstance(action, ListToolsAction):
            return ListToolsObservation(tools=[_info(tool) for tool in await self._openenv_listed()])
        returned = self.step_other(action, timeout_s=timeout_s, **options)
        return await returned if inspect.isawaitable(returned) else returned

    async def _openenv_called(self, action: CallToolAction) -> CallToolObservation:
        book, before = book_of(self), lists_of(self)
        mark, mode, name, error, result = book.marked(), self.serving_mode, action.tool_name, None, None
        book.state.step_count += 1
        try:
            name, arguments = self._openenv_meant(action)
            if name == SEARCH.name and self._openenv_is_searched():
                result = searched(book.toolbox, arguments, self, mode)
            else:
                context = ToolContext(action.inputs, action.capabilities, self.note_sink, self.is_cancelled)
                context.check()
                await self._openenv_before_call(name)
                result = await run(self, book, found_for(book.toolbox, name, self, mode), arguments, context)
        except (ActionInvalid, asyncio.CancelledError):  # it asks first, or was cut: the call has not been
            book.back_to(mark)
            raise
        except (Exception, SystemExit) as raised:  # noqa: BLE001 - whatever a tool raises is an answer to its caller
            error = answer_of(raised)
        announce_changes(self, before)
        return book.told(name, result, error)

    def _openenv_meant(self, action: CallToolAction) -> tuple[str, dict[str, Any]]:
        if action.tool_name == CALL.name and self._openenv_is_searched():
            return unwrapped(action.arguments)
        return action.tool_name, action.arguments

    async def _openenv_before_call(self, name: str) -> None:
        """For environments whose tools come from elsewhere: look for one of that name."""

    async def _openenv_listed(self) -> list[Tool]:
        """The tools that can be called now, as they are told to trainers."""
        return self.visible_tools()

    async def _openenv_offered(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "tools/list":
            tools = await self._openenv_listed()
            if self._openenv_is_searched() and not params.get("all"):
                tools = [SEARCH, CALL, *(tool for tool in tools if tool.name in self.always_listed)]
            return {"tools": [tool.listed() for tool in tools]}
        return await answered(self, method, params)

    def _openenv_is_searched(self) -> bool:
        if self.search_tools is not None:
            return self.search_tools
        tools = self.visible_tools()
        return len(tools) > MANY and not {SEARCH.name, CALL.name} & {tool.name for tool in tools}

    def _openenv_driven(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What a coroutine of an environment that is not asynchronous returns: it waits for nothing."""
        if EnvironmentPlan.of(type(self)).is_async:
            work.close()
            raise TypeError(f"{type(self).__name__} is asynchronous: await step_async() instead")
        return without_waiting(work)


def with_toolsets(environment: type[Any], toolsets: Sequence[Toolset]) -> type[Any]:
    """A class like a ``ToolEnvironment``, with more toolsets mounted.

    Raises:
        ConfigurationError: It is no ToolEnvironment.
    """
    if not (isinstance(environment, type) and issubclass(environment, ToolEnvironment)):
        name = getattr(environment, "__name__", repr(environment))
        raise ConfigurationError(f"{name} is no ToolEnvironment; tools of other servers are mounted in one of these")
    own = {
        "toolsets": (*environment.toolsets, *toolsets),
        "__module__": environment.__module__,
        "__doc__": environment.__doc__,
    }
    made: type[Any] = types.new_class(environment.__name__, (environment,), exec_body=lambda names: names.update(own))
    return made


def _info(tool: Tool) -> ToolInfo:
    told = tool.listed()
    return ToolInfo(
        name=tool.name,
        description=tool.description,
        input_schema=told["inputSchema"],
        title=tool.title,
        output_schema=told.get("outputSchema"),
        annotations=told.get("annotations"),
    )
