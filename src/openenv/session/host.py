"""Where the environment of one session lives, and how it is asked there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from typing import Any, Protocol

from openenv.environment import EnvironmentPlan
from openenv.errors import EnvironmentFailure, ExecutionFailed
from openenv.protocol import Observed, Reset, StateIs, Step
from openenv.session.executors import EnvironmentExit, Executor, InlineExecutor
from openenv.session.hosted import HostedEnvironment, told
from openenv.session.placement import CLOSE, CREATE, RESET, STATE, STEP, Kind, Placement
from openenv.session.spec import EnvironmentSpec

__all__ = ["After", "Host", "LocalHost", "Move", "Prompt", "failure_of"]

_CANCEL_GRACE_S = 1.0
"""Seconds that an asynchronous environment is given to end once its call is cancelled."""


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

    async def reset(self, request: Reset) -> Observed:
        """Begin an episode."""

    async def step(self, request: Step) -> Observed:
        """Take an action."""

    async def state(self) -> StateIs:
        """Where the episode stands."""

    async def metadata(self) -> Any:
        """What the environment says of itself."""

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
    """

    def __init__(self, hosted: HostedEnvironment, executor: Executor) -> None:
        self._hosted = hosted
        self._executor = executor
        self.plan = hosted.plan
        self.prompt: Prompt | None = None
        if isinstance(executor, InlineExecutor):
            self.prompt = executor.calling(hosted.move_now)

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
        found: Observed = await self._call(STEP, partial(self._hosted.step, request))
        return found

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

    async def _call(self, kind: Kind, function: Callable[[], Any]) -> Any:
        try:
            return await self._executor.call(kind, function)
        except (EnvironmentFailure, asyncio.CancelledError):
            raise
        except BaseException as error:  # what escaped in a task of its own, also sys.exit
            raise failure_of(error) from error


def failure_of(error: BaseException) -> ExecutionFailed:
    """What is told of whatever the author's code raised, also ``sys.exit``."""
    raised = error.raised if isinstance(error, EnvironmentExit) else error
    return ExecutionFailed(told(raised), details={"exception": type(raised).__name__})
