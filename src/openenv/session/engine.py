"""All sessions of one environment: how many there may be, and where each one lives."""

from __future__ import annotations

import asyncio
import logging

from openenv.environment import EnvironmentPlan
from openenv.errors import CapacityReached, ConfigurationError, OpenEnvError, SessionNotFound
from openenv.session.executors import ThreadExecutor, executor_for
from openenv.session.placement import SpeedRecord
from openenv.session.session import Session
from openenv.session.spec import EnvironmentSpec
from openenv.types import EnvironmentMetadata

__all__ = ["CONCURRENT_CAPACITY", "SessionEngine"]

CONCURRENT_CAPACITY = 64
"""Sessions kept at the same time, unless told otherwise, where the class supports several."""

log = logging.getLogger("openenv.session")


class SessionEngine:
    """Opens, finds and closes the sessions of one environment.

    Args:
        spec: What is served.
        capacity: Sessions at the same time, 1 or more. ``None``: 64 where the class says
            ``SUPPORTS_CONCURRENT_SESSIONS``, else 1.

    Raises:
        ConfigurationError: The capacity is below 1, or above 1 for a class that does not support it.
    """

    def __init__(self, spec: EnvironmentSpec, capacity: int | None = None) -> None:
        if capacity is not None and capacity < 1:
            raise ConfigurationError(f"the number of sessions must be 1 or more, not {capacity}")
        self.spec = spec
        self._asked_capacity = capacity
        self._plan: EnvironmentPlan | None = None
        self._speed = SpeedRecord()
        self._sessions: dict[str, Session] = {}
        self._opening = 0
        self._extra: set[str] = set()  # ids of the sessions that take no place
        self._checking: asyncio.Task[None] | None = None
        self.metadata: EnvironmentMetadata | None = None
        if spec.plan is not None:
            self._learn(spec.plan)

    @property
    def capacity(self) -> int:
        """Sessions it keeps at the same time."""
        if self._asked_capacity is not None:
            return self._asked_capacity
        return CONCURRENT_CAPACITY if self._plan is not None and self._plan.concurrent else 1

    @property
    def active(self) -> int:
        """Places taken: sessions that live, open or close just now."""
        return len(self._sessions) - len(self._extra) + self._opening

    @property
    def is_concurrent(self) -> bool:
        """Whether several instances may live side by side; False until that is known."""
        return self._plan is not None and self._plan.concurrent

    @property
    def is_lenient(self) -> bool:
        """Whether a step without a reset is legal."""
        return self._plan is not None and self._plan.lifecycle == "lenient"

    async def open(self, *, counted: bool = True) -> Session:
        """Build an environment and keep its session.

        Args:
            counted: Whether it takes a place; an uncounted one is opened at any capacity.

        Raises:
            CapacityReached: All places are taken.
            FactoryFailed: The environment could not be built.
        """
        if self._checking is not None:  # a trial instance lives just now; of some classes there may be only one
            await asyncio.wait([self._checking])
        if counted and self.active >= self.capacity:
            raise self.full()
        self._opening += counted
        try:
            session = await self._build()
        finally:
            self._opening -= counted
        self._sessions[session.id] = session
        if not counted:
            self._extra.add(session.id)
        return session

    def full(self) -> CapacityReached:
        """The error for one session too many."""
        return CapacityReached(
            f"all {self.capacity} places are taken; close a session, or serve with a larger max_concurrent_envs",
            details={"active_sessions": self.active, "max_sessions": self.capacity},
        )

    def get(self, session_id: str) -> Session:
        """The session with that id.

        Raises:
            SessionNotFound: There is none, or no longer.
        """
        try:
            return self._sessions[session_id]
        except KeyError:
            raise SessionNotFound(f"no session {session_id!r}; it was closed, expired, or never opened") from None

    async def close(self, session: Session) -> None:
        """End a session. Its place is free when its environment is closed, even if that raised.

        Raises:
            ExecutionFailed: The environment's ``close`` raised.
        """
        try:
            await session.close()
        finally:
            self._sessions.pop(session.id, None)
            self._extra.discard(session.id)

    async def end(self, session: Session) -> None:
        """End a session where nobody waits for the answer: a failing ``close`` is logged."""
        try:
            await self.close(session)
        except OpenEnvError:
            log.exception("closing an environment of %s failed; its session has ended", self.spec.name)

    async def aclose(self) -> None:
        """End all sessions."""
        await asyncio.gather(*(self.end(session) for session in list(self._sessions.values())))

    async def check(self) -> EnvironmentMetadata:
        """Make sure that an environment can be built, by building one unless one was built before.

        Returns:
            What the environment says of itself.

        Raises:
            FactoryFailed: It cannot be built.
        """
        if self.metadata is None and not self.active:
            if self._checking is None:
                self._checking = asyncio.create_task(self._try_one())
            try:
                await asyncio.shield(self._checking)
            finally:
                self._checking = None
        return self.metadata or EnvironmentMetadata(name=self.spec.name, description="")

    async def _try_one(self) -> None:
        await (await self._build()).close()

    async def _build(self) -> Session:
        if self._plan is None:
            session = await Session.open(self.spec, ThreadExecutor(self._speed, f"openenv-{self.spec.name}"))
            try:
                self._learn(session.plan)
            except ConfigurationError:
                await session.close()
                raise
            if not session.plan.is_async:
                return await self._described(session)
            await session.close()  # an asynchronous one needs an event loop from its first moment
        assert self._plan is not None  # for the type checker: learned above
        executor = executor_for(self._speed, is_async=self._plan.is_async, name=f"openenv-{self.spec.name}")
        return await self._described(await Session.open(self.spec, executor))

    async def _described(self, session: Session) -> Session:
        """The session, after the first one has told what the environment is."""
        if self.metadata is None:
            try:
                self.metadata = await session.metadata()
            except OpenEnvError:
                log.exception("get_metadata of %s failed", self.spec.name)
                self.metadata = EnvironmentMetadata(name=self.spec.name, description="")
        return session

    def _learn(self, plan: EnvironmentPlan) -> None:
        """Take note of the class that is served: at once for a class, at the first session for a factory."""
        if (self._asked_capacity or 1) > 1 and not plan.concurrent:
            raise ConfigurationError(
                f"{plan.name} does not say that several of it may live in one process, so it cannot serve "
                f"{self._asked_capacity} sessions; set SUPPORTS_CONCURRENT_SESSIONS = True if they share nothing"
            )
        if self._plan is None:
            self._plan = plan
            self._speed = SpeedRecord(inline_allowed=not plan.needs_own_thread)
