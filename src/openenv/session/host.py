"""Where the environment of one session lives, and how it is asked there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any, Protocol

from openenv.environment import EnvironmentPlan
from openenv.errors import EnvironmentFailure, ExecutionFailed
from openenv.protocol import Observed, Reset, StateIs, Step
from openenv.session.executors import EnvironmentExit, Executor
from openenv.session.hosted import HostedEnvironment, told
from openenv.session.placement import CLOSE, CREATE, RESET, STATE, STEP, Kind, Placement
from openenv.session.spec import EnvironmentSpec

__all__ = ["After", "Host", "LocalHost"]

_CANCEL_GRACE_S = 1.0
"""Seconds that an asynchronous environment is given to end once its call is cancelled."""


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
    def immediate(self) -> bool:
        """Whether a call returns without giving the event loop to others in between."""

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
    """An environment in the server's own process. ``LocalHost.build`` makes one."""

    def __init__(self, hosted: HostedEnvironment, executor: Executor) -> None:
        self._hosted = hosted
        self._executor = executor

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
    def plan(self) -> EnvironmentPlan:
        """What the environment's class takes."""
        return self._hosted.plan

    @property
    def placement(self) -> Placement:
        """Where the environment lives."""
        return self._executor.placement

    @property
    def immediate(self) -> bool:
        """Whether a call returns without giving the event loop to others in between."""
        return self._executor.immediate

    async def reset(self, request: Reset) -> Observed:
        """Begin an episode."""
        found: Observed = await self._call(RESET, partial(self._hosted.reset, request))
        return found

    async def step(self, request: Step) -> Observed:
        """Take an action."""
        found: Observed = await self._call(STEP, partial(self._hosted.step, request))
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
        if self._executor.immediate:
            self._executor = self._executor.moved()

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
        except BaseException as error:  # noqa: BLE001 - what escaped in a task of its own, also sys.exit
            raised = error.raised if isinstance(error, EnvironmentExit) else error
            raise ExecutionFailed(told(raised), details={"exception": type(raised).__name__}) from raised
