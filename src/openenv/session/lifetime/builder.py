"""Builds the environments of one server where they are to live, and learns from the first of them what they are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from openenv.environment import EnvironmentPlan
from openenv.errors import ConfigurationError, FactoryFailed, OpenEnvError
from openenv.session.hosting.executors import (
    Executor,
    InlineExecutor,
    InlineLoopExecutor,
    LoopThreadExecutor,
    ThreadExecutor,
    executor_for,
)
from openenv.session.hosting.host import Host, LocalHost
from openenv.session.hosting.placement import Placement, SpeedRecord
from openenv.session.hosting.shared_thread import SharedThread
from openenv.session.isolation import WorkerDied
from openenv.session.lifetime.capacity import Capacity
from openenv.session.served.spec import EnvironmentSpec
from openenv.types import EnvironmentMetadata

if TYPE_CHECKING:
    from openenv.session.isolation import Supervisor

__all__ = ["Builder"]

log = logging.getLogger("openenv.session")


class Builder:
    """Makes environments, each in the place that suits its class.

    Args:
        spec: What is served.
        supervise: Makes the supervisor of worker processes; called when the first is needed.
        capacity: Says where environments are to live, and learns what their class is.

    Attributes:
        plan: What the class takes: known at once where one is served, from the first environment where a factory is.
        metadata: What the first environment said of itself.
        trial: The environment that is being built to see whether one can be.
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        supervise: Callable[[], Supervisor],
        capacity: Capacity,
    ) -> None:
        self.plan: EnvironmentPlan | None = None
        self.metadata: EnvironmentMetadata | None = None
        self._spec = spec
        self._supervise = supervise
        self._capacity = capacity
        self._speed = SpeedRecord()
        self._shared_thread = SharedThread(self._speed, f"openenv-{spec.name}")
        self._supervisor: Supervisor | None = None
        self._starting: asyncio.Task[Supervisor] | None = None
        self.trial: asyncio.Task[None] | None = None
        if spec.plan is not None:
            self._learn(spec.plan)

    def serve(self, spec: EnvironmentSpec) -> None:
        """Build this from now on; it is the same with other surroundings.

        Raises:
            ConfigurationError: It cannot be served with that many sessions.
        """
        self._spec = spec
        if spec.plan is not self.plan:
            self.plan = None
            if spec.plan is not None:
                self._learn(spec.plan)

    @property
    def restarts(self) -> int:
        """How many worker processes died."""
        return 0 if self._supervisor is None else self._supervisor.restarts

    async def prepare(self) -> None:
        """Start what environments need to live in, if that is known to be needed.

        Raises:
            ConfigurationError: What is served cannot be found by another process.
            RuntimeFailure: It does not start.
        """
        if self._capacity.is_isolated:
            await self._workers()

    async def build(self) -> Host:
        """A new environment.

        Raises:
            FactoryFailed: It could not be built.
            ConfigurationError: Its class cannot be served like this.
        """
        host = await self._build()
        if self.metadata is None:
            about: object = None
            try:
                about = await host.metadata()
            except (OpenEnvError, WorkerDied):
                log.exception("get_metadata of %s failed", self._spec.name)
            self.metadata = about if isinstance(about, EnvironmentMetadata) else self.nameless()
        return host

    async def check(self) -> EnvironmentMetadata:
        """Build an environment unless one was built before; what it says of itself.

        Raises:
            FactoryFailed: It cannot be built.
        """
        if self.metadata is None:
            if self.trial is None:
                self.trial = asyncio.create_task(self._try_one())
            await asyncio.shield(self.trial)
        return self.metadata or self.nameless()

    async def _try_one(self) -> None:
        try:
            await self.end(await self.build())
        finally:
            self.trial = None

    @property
    def prefers_inline(self) -> bool:
        """Whether a fresh environment would live in the server's thread and do what any other of its class does."""
        if self.plan is None or not (self.plan.deterministic and self.plan.concurrent) or self._capacity.is_isolated:
            return False
        return self._capacity.wanted != "thread" and self._speed.placement is Placement.INLINE

    async def end(self, host: Host) -> None:
        """Close an environment that no session has: if that fails it is logged."""
        try:
            await host.close()
        except OpenEnvError:
            log.exception("closing an environment of %s failed", self._spec.name)

    async def aclose(self) -> None:
        """End the processes that environments live in."""
        if self._starting is not None:
            await asyncio.wait([self._starting])
        if self._supervisor is not None:
            await self._supervisor.aclose()
        self._supervisor = self._starting = None

    def nameless(self) -> EnvironmentMetadata:
        """What is known of an environment that says nothing of itself."""
        return EnvironmentMetadata(name=self._spec.name, description="")

    async def _build(self) -> Host:
        if self._capacity.is_isolated:
            host: Host = await (await self._workers()).build()
            self._learn(host.plan)
            return host
        if self.plan is None:
            host, has_loop = await self._build_first()
            try:
                self._learn(host.plan)
            except ConfigurationError:
                await self.end(host)
                raise
            if not self._capacity.is_isolated and host.plan.is_async is has_loop:
                return host
            await self.end(host)  # an asynchronous one needs an event loop from its first moment
            return await self._build()
        return await LocalHost.build(self._spec, self._place(self.plan))

    def _place(self, plan: EnvironmentPlan) -> Executor:
        if self._capacity.wanted == "inline":
            return InlineLoopExecutor(self._speed) if plan.is_async else InlineExecutor(self._speed, self._thread_name)
        if plan.batches and self._speed.placement is Placement.THREAD:
            return self._shared_thread.executor()
        return executor_for(self._speed, is_async=plan.is_async, name=self._thread_name)

    async def _workers(self) -> Supervisor:
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        try:
            return await asyncio.shield(self._starting)
        except OpenEnvError:
            self._starting = None  # asked again, it is tried again
            raise

    async def _start(self) -> Supervisor:
        try:
            supervisor = self._supervise()
        except ConfigurationError as error:
            if self.plan is None or self.plan.concurrent or self._capacity.isolation is not None:
                raise
            raise ConfigurationError(  # nobody asked for processes: they follow from the number of sessions
                f"{error.message}; or set SUPPORTS_CONCURRENT_SESSIONS = True if several of it may share one process"
            ) from error
        try:
            await supervisor.start()
        except BaseException:
            await supervisor.aclose()
            raise
        self._supervisor = supervisor
        return supervisor

    async def _build_first(self) -> tuple[Host, bool]:
        """An environment of a class that is not known; with an event loop only if building it asks for one."""
        try:
            return await LocalHost.build(self._spec, ThreadExecutor(self._speed, self._thread_name)), False
        except FactoryFailed as error:
            if not (isinstance(error.__cause__, RuntimeError) and "no running event loop" in str(error.__cause__)):
                raise
        return await LocalHost.build(self._spec, LoopThreadExecutor(self._speed, self._thread_name)), True

    @property
    def _thread_name(self) -> str:
        return f"openenv-{self._spec.name}"

    def _learn(self, plan: EnvironmentPlan) -> None:
        """Take note of the class that is served, once."""
        if self.plan is not None:
            return
        self._capacity.learn(plan)
        self.plan = plan
        if plan.needs_own_thread or self._capacity.wanted == "thread":
            self._speed.forbid_inline()
