"""Where the environment of one session lives, and how it is asked there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from openenv.environment import EnvironmentPlan
from openenv.errors import EnvironmentFailure, ExecutionFailed, InvalidRequest
from openenv.protocol import Observed, Reset, StateIs, Step
from openenv.session.hosting.executors import EnvironmentExit, Executor, InlineExecutor
from openenv.session.hosting.hosted import HostedEnvironment
from openenv.session.hosting.placement import CLOSE, CREATE, OFFER, RESET, STATE, STEP, Kind, Placement
from openenv.session.served.outcome import told
from openenv.session.served.spec import EnvironmentSpec

if TYPE_CHECKING:
    from openenv.session.hosting.notes import NoteWay
    from openenv.tools import Note

__all__ = ["After", "Host", "LocalHost", "Move", "Prompt", "failure_of"]

_CANCEL_GRACE_S = 1.0
"""Seconds that an asynchronous environment is given to end once its call is cancelled."""


_Errors = tuple[type[BaseException], ...]

Move = Reset | Step
Prompt = Callable[[Move], Observed]


class After(Enum):
    """What is left of an environment whose call was to be ended."""

    USABLE = "it ended the call and can be asked again"
    STUCK = "it does not let go"
    GONE = "it was ended with its process"


class Host(Protocol):
    """Runs the calls of one environment, one after the other. Errors are those of ``HostedEnvironment``."""

    @property
    def plan(self) -> EnvironmentPlan:
        """What the environment's class takes."""

    @property
    def placement(self) -> Placement:
        """Where the environment lives."""

    @property
    def prompt(self) -> Prompt | None:
        """Does a move at once, without an await; ``None`` where the environment is not in the server's thread.

        Raises what the author's code raises as it is: ``failure_of`` tells what it is called.
        """

    @property
    def deadlines(self) -> Mapping[str, float]:
        """Seconds that calls may take, by the names of those tools that cannot see to it themselves."""

    async def reset(self, request: Reset) -> Observed:
        """Begin an episode."""

    async def step(self, request: Step) -> Observed:
        """Take an action."""

    async def state(self) -> StateIs:
        """Where the episode stands."""

    async def metadata(self) -> Any:
        """What the environment says of itself."""

    async def offer(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """What MCP asks besides calls, in its shapes; raises ``InvalidRequest`` too."""

    def listen(self, sink: Callable[[Note], None]) -> None:
        """Tell who listens to what is said during calls; it is called in the server's thread, before the answer."""

    def cancel_call(self) -> None:
        """Ask the call that runs to end. It ends as a step, when it likes."""

    async def snapshot(self) -> bytes:
        """The whole state of the environment, where its class offers that."""

    async def restore(self, snapshot: bytes) -> None:
        """Bring the environment to the state of a snapshot."""

    def expect_deadlines(self) -> None:
        """From now on calls may have to be ended early; an environment in the server's thread leaves it."""

    async def interrupt(self, call: asyncio.Task[Any]) -> After:
        """End a call that takes too long."""

    async def close(self) -> None:
        """Close the environment and end the place it lives in, even if closing raised."""


class LocalHost:
    """An environment in the server's own process. ``LocalHost.build`` makes one.

    Attributes:
        plan: What the environment's class takes.
        prompt: As in ``Host``.
        deadlines: As in ``Host``.
        look: Called when an environment asks whether its call was cancelled: it may have been, unseen as yet.
    """

    def __init__(self, hosted: HostedEnvironment, executor: Executor) -> None:
        self._hosted = hosted
        self._executor = executor
        self.plan = hosted.plan
        self.deadlines: Mapping[str, float] = hosted.deadlines()
        self.prompt: Prompt | None = None
        self.look: Callable[[], None] | None = None
        self._notes: NoteWay | None = None
        self._asked = 0  # calls, where they may be cancelled
        self._running = self._unwanted = -1  # their numbers
        if self.plan.tools:
            self._begin_tools()
        if isinstance(self._executor, InlineExecutor):
            self.prompt = self._executor.calling(hosted.move_now)

    def _begin_tools(self) -> None:
        from openenv.session.hosting.notes import NoteWay  # here: most environments have no tools

        self._notes = NoteWay()
        self._hosted.attend(self._notes, self._is_cancelled)
        if self.deadlines:
            self._executor = self._executor.moved()

    def _is_cancelled(self) -> bool:
        if self.look is not None:
            self.look()
        return self._running == self._unwanted != -1

    @staticmethod
    async def build(spec: EnvironmentSpec, executor: Executor) -> LocalHost:
        """Build an environment where it is to live; if that fails the place is ended.

        Raises:
            FactoryFailed, ConfigurationError: It could not be built, or cannot be served.
        """
        try:
            return LocalHost(await executor.call(CREATE, partial(HostedEnvironment, spec)), executor)
        except BaseException:
            await executor.stop()
            raise

    @property
    def placement(self) -> Placement:
        """Where the environment lives."""
        return self._executor.placement

    async def reset(self, request: Reset) -> Observed:
        """Begin an episode."""
        found: Observed = await self._call(RESET, partial(self._hosted.reset, request))
        return found

    async def step(self, request: Step) -> Observed:
        """Take an action."""
        if self._notes is not None:
            return await self._call_of_tool(request, self._notes)
        found: Observed = await self._call(STEP, partial(self._hosted.step, request))
        return found

    async def _call_of_tool(self, request: Step, notes: NoteWay) -> Observed:
        self._asked += 1
        number = self._asked

        def step() -> Any:
            self._running = number
            return self._hosted.step(request)

        try:
            found: Observed = await self._call(STEP, step)
        except Exception:
            self._ended(number, notes)
            raise
        self._ended(number, notes)  # not where the caller was cancelled: then it still runs
        return found

    def _ended(self, number: int, notes: NoteWay) -> None:
        notes.flush()
        if self._running == number:  # a call that nobody waited for may have begun since
            self._running = -1
        if self._unwanted == number:
            self._unwanted = -1

    async def offer(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """What MCP asks besides calls, in its shapes; raises ``InvalidRequest`` too."""
        found: dict[str, Any] = await self._call(
            OFFER, partial(self._hosted.offer, method, params), (EnvironmentFailure, InvalidRequest)
        )
        return found

    def listen(self, sink: Callable[[Note], None]) -> None:
        """Tell who listens to what is said during calls; it is called in the server's thread, before the answer."""
        if self._notes is not None:
            self._notes.sink = sink

    def cancel_call(self) -> None:
        """Ask the call that runs to end. It ends as a step, when it likes."""
        self._unwanted = number = self._asked
        if self.plan.tools and self.plan.is_async:
            self._executor.meanwhile(lambda: self._hosted.cancel_call() if self._running == number else None)

    @property
    def common(self) -> object | None:
        """The same for all hosts that ``step_together`` may be asked for; ``None`` where it may not."""
        return self._executor.common if self.plan.batches else None

    @staticmethod
    async def step_together(
        hosts: Sequence[LocalHost], requests: Sequence[Step]
    ) -> list[Observed | EnvironmentFailure]:
        """Take an action in each of several environments, with one call; for each its answer, or what is wrong."""
        call = partial(HostedEnvironment.step_together, [one._hosted for one in hosts], requests)
        found: list[Observed | EnvironmentFailure] = await hosts[0]._call(STEP, call)
        return found

    async def state(self) -> StateIs:
        """Where the episode stands."""
        found: StateIs = await self._call(STATE, self._hosted.state)
        return found

    async def metadata(self) -> Any:
        """What the environment says of itself."""
        return await self._call(STATE, self._hosted.metadata)

    async def snapshot(self) -> bytes:
        """The whole state of the environment."""
        found: bytes = await self._call(STATE, self._hosted.snapshot)
        return found

    async def restore(self, snapshot: bytes) -> None:
        """Bring the environment to the state of a snapshot."""
        await self._call(RESET, partial(self._hosted.restore, snapshot))

    def expect_deadlines(self) -> None:
        """From now on calls may have to be ended early; an environment in the server's thread leaves it."""
        self._executor, self.prompt = self._executor.moved(), None

    async def interrupt(self, call: asyncio.Task[Any]) -> After:
        """End a call that takes too long: one that awaits is cancelled, one on a thread cannot be ended."""
        if not self.plan.is_async:
            return After.USABLE if call.done() else After.STUCK
        call.cancel()
        await asyncio.wait({call}, timeout=_CANCEL_GRACE_S)
        if call.done() and not call.cancelled():
            call.exception()  # nobody wants it
        return After.USABLE if call.done() and await self._executor.settled(_CANCEL_GRACE_S) else After.STUCK

    async def close(self) -> None:
        """Close the environment and end the place it lives in, even if closing raised."""
        try:
            await self._call(CLOSE, self._hosted.close)
        finally:
            await self._executor.stop()

    async def _call(self, kind: Kind, function: Callable[[], Any], let_through: _Errors = (EnvironmentFailure,)) -> Any:
        try:
            return await self._executor.call(kind, function)
        except asyncio.CancelledError:
            raise
        except let_through:
            raise
        except BaseException as error:  # what escaped in a task of its own, also sys.exit
            raise self._hosted.cleaned(failure_of(error)) from error


def failure_of(error: BaseException) -> ExecutionFailed:
    """What is told of whatever the author's code raised, also ``sys.exit``."""
    raised = error.raised if isinstance(error, EnvironmentExit) else error
    return ExecutionFailed(told(raised), details={"exception": type(raised).__name__})
