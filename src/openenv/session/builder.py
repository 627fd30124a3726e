"""Builds the environments of one server, and learns from the first of them what they are."""

from __future__ import annotations

import logging
from collections.abc import Callable

from openenv.environment import EnvironmentPlan
from openenv.errors import ConfigurationError, FactoryFailed, OpenEnvError
from openenv.session.executors import LoopThreadExecutor, ThreadExecutor, executor_for
from openenv.session.placement import SpeedRecord
from openenv.session.session import Session
from openenv.session.spec import EnvironmentSpec
from openenv.types import EnvironmentMetadata

__all__ = ["Builder"]

log = logging.getLogger("openenv.session")


class Builder:
    """Makes sessions, each with an environment of its own in the place that suits its class.

    Args:
        spec: What is served.
        accept: Called with the plan of a class once it is known; raises ``ConfigurationError`` if it cannot be served.

    Attributes:
        plan: What the class takes: known at once where one is served, from the first session where a factory is.
        metadata: What the first environment said of itself.
    """

    def __init__(self, spec: EnvironmentSpec, accept: Callable[[EnvironmentPlan], None]) -> None:
        self.plan: EnvironmentPlan | None = None
        self.metadata: EnvironmentMetadata | None = None
        self._spec = spec
        self._accept = accept
        self._speed = SpeedRecord()
        if spec.plan is not None:
            self._learn(spec.plan)

    async def build(self) -> Session:
        """A new session.

        Raises:
            FactoryFailed: The environment could not be built.
            ConfigurationError: Its class cannot be served like this.
        """
        session = await self._build()
        if self.metadata is None:
            about: object = None
            try:
                about = await session.metadata()
            except OpenEnvError:
                log.exception("get_metadata of %s failed", self._spec.name)
            self.metadata = about if isinstance(about, EnvironmentMetadata) else self.nameless()
        return session

    async def end(self, session: Session) -> None:
        """End a session where nobody waits for the answer: a failing ``close`` is logged."""
        try:
            await session.close()
        except OpenEnvError:
            log.exception("closing an environment of %s failed; its session has ended", self._spec.name)

    def nameless(self) -> EnvironmentMetadata:
        """What is known of an environment that says nothing of itself."""
        return EnvironmentMetadata(name=self._spec.name, description="")

    async def _build(self) -> Session:
        if self.plan is None:
            session, has_loop = await self._build_first()
            try:
                self._learn(session.plan)
            except ConfigurationError:
                await self.end(session)
                raise
            if session.plan.is_async is has_loop:
                return session
            await self.end(session)  # an asynchronous one needs an event loop from its first moment
        assert self.plan is not None  # for the type checker: learned above
        return await Session.open(
            self._spec, executor_for(self._speed, is_async=self.plan.is_async, name=self._thread_name)
        )

    async def _build_first(self) -> tuple[Session, bool]:
        """A session of a class that is not known; with an event loop only if building it asks for one."""
        try:
            return await Session.open(self._spec, ThreadExecutor(self._speed, self._thread_name)), False
        except FactoryFailed as error:
            if not (isinstance(error.__cause__, RuntimeError) and "no running event loop" in str(error.__cause__)):
                raise
        return await Session.open(self._spec, LoopThreadExecutor(self._speed, self._thread_name)), True

    @property
    def _thread_name(self) -> str:
        return f"openenv-{self._spec.name}"

    def _learn(self, plan: EnvironmentPlan) -> None:
        """Take note of the class that is served, once."""
        if self.plan is not None:
            return
        self._accept(plan)
        self.plan = plan
        if plan.needs_own_thread:
            self._speed.forbid_inline()
