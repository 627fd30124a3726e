"""All sessions of one environment: how many there may be, and where each one lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from openenv.environment import EnvironmentPlan
from openenv.errors import (
    CapacityReached,
    ConfigurationError,
    FactoryFailed,
    OpenEnvError,
    SessionClosed,
    SessionNotFound,
)
from openenv.session.executors import LoopThreadExecutor, ThreadExecutor, executor_for
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
        self.spec = spec
        self._asked_capacity = _checked(capacity)
        self._plan: EnvironmentPlan | None = None
        self._speed = SpeedRecord()
        self._sessions: dict[str, Session] = {}
        self._reserved = 0  # places of sessions that are being opened
        self._opening: set[asyncio.Task[Session]] = set()
        self._ending: set[asyncio.Task[None]] = set()  # of sessions that nobody waited for
        self._given_up: set[asyncio.Task[Session]] = set()  # sessions that are to end as soon as they are open
        self._freed = asyncio.Event()  # a place was given back
        self._extra: set[str] = set()  # ids of the sessions that take no place
        self._checking: asyncio.Task[None] | None = None
        self._stopped = False
        self.metadata: EnvironmentMetadata | None = None
        if spec.plan is not None:
            self._learn(spec.plan)

    @property
    def capacity(self) -> int:
        """Sessions it keeps at the same time."""
        if self._asked_capacity is not None:
            return self._asked_capacity
        return CONCURRENT_CAPACITY if self._plan is not None and self._plan.concurrent else 1

    def resize(self, capacity: int) -> None:
        """Set how many sessions it keeps at the same time. Sessions that are open stay, also if they are more.

        Raises:
            ConfigurationError: The capacity is below 1, or above 1 for a class that does not support it.
        """
        before, self._asked_capacity = self._asked_capacity, _checked(capacity)
        try:
            if self._plan is not None:
                self._learn(self._plan)
        except ConfigurationError:
            self._asked_capacity = before
            raise

    @property
    def active(self) -> int:
        """Places taken: sessions that live, open or close just now."""
        return len(self._sessions) - len(self._extra) + self._reserved

    @property
    def is_known(self) -> bool:
        """Whether the class is known: at once where one is served, from the first session where a factory is."""
        return self._plan is not None

    @property
    def is_concurrent(self) -> bool:
        """Whether several instances may live side by side; False until that is known."""
        return self._plan is not None and self._plan.concurrent

    @property
    def is_lenient(self) -> bool:
        """Whether a step without a reset is legal."""
        return self._plan is not None and self._plan.lifecycle == "lenient"

    async def open(
        self,
        *,
        counted: bool = True,
        make_room: Callable[[], Awaitable[None]] | None = None,
        patience_s: float | None = None,
    ) -> Session:
        """Build an environment and keep its session. A caller that is cancelled leaves nothing behind.

        Args:
            counted: Whether it takes a place; an uncounted one is opened at any capacity.
            make_room: Awaited once the place is reserved and before the environment is built.
            patience_s: Seconds to wait, where all places are taken, for those of sessions that are ending already;
                ``None``: no wait.

        Raises:
            CapacityReached: All places are taken.
            FactoryFailed: The environment could not be built.
        """
        await self.settle()
        if counted and patience_s is not None and self._is_place_in_sight:
            await self._wait_for_place(patience_s)
            await self.settle()
        if self._stopped:
            raise SessionClosed("the server is stopping")
        if counted and self.active >= self.capacity:
            raise self.full()
        self._reserved += counted
        opening = asyncio.create_task(self._open(counted, make_room))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._abandon)
            raise

    @property
    def _is_place_in_sight(self) -> bool:
        ending = bool(self._given_up) or any(session.is_ending for session in self._sessions.values())
        return self.active >= self.capacity and ending

    async def _wait_for_place(self, patience_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self._is_place_in_sight:
                    self._freed.clear()
                    await self._freed.wait()

    async def settle(self) -> None:
        """Wait for a trial instance to end and, of a class that is not known yet, for the first session."""
        while True:
            if self._checking is not None:  # of some classes there may be only one instance
                await asyncio.wait([self._checking])
            elif self._opening and not self.is_known:  # it tells how many there may be
                await asyncio.wait(self._opening)
            else:
                return

    async def _open(self, counted: bool, make_room: Callable[[], Awaitable[None]] | None) -> Session:
        try:
            if make_room is not None:
                await make_room()
            session = await self._build()
            self._sessions[session.id] = session
            if not counted:
                self._extra.add(session.id)
            session.when_closed(self._forget)
            return session
        finally:
            self._reserved -= counted
            self._freed.set()

    def _abandon(self, opening: asyncio.Task[Session]) -> None:
        """End the session that nobody waits for any more."""
        if not opening.cancelled() and opening.exception() is None:
            ending = asyncio.create_task(self.end(opening.result()))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    def _forget(self, session: Session) -> None:
        self._sessions.pop(session.id, None)
        self._extra.discard(session.id)
        self._freed.set()

    def full(self) -> CapacityReached:
        """The error for one session too many."""
        return CapacityReached(
            # old trainers look for the code in the text
            f"CAPACITY_REACHED: all {self.capacity} places are taken; close a session, "
            "or serve with a larger max_concurrent_envs",
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
        await session.close()

    async def end(self, session: Session) -> None:
        """End a session where nobody waits for the answer: a failing ``close`` is logged."""
        try:
            await self.close(session)
        except OpenEnvError:
            log.exception("closing an environment of %s failed; its session has ended", self.spec.name)

    async def end_opening(self, opening: asyncio.Task[Session]) -> None:
        """End a session that may still be opening, once it is open."""
        self._given_up.add(opening)
        try:
            with suppress(OpenEnvError):  # it could not be opened: there is nothing to end
                await self.end(await opening)
        finally:
            self._given_up.discard(opening)
            self._freed.set()

    async def aclose(self) -> None:
        """End all sessions, also those that are being opened. No other can be opened afterwards."""
        self._stopped = True
        waiting = {*self._opening, *self._ending, *([self._checking] if self._checking else [])}
        if waiting:
            await asyncio.wait(waiting)
        await asyncio.gather(*(self.end(session) for session in list(self._sessions.values())))

    async def check(self) -> EnvironmentMetadata:
        """Make sure that an environment can be built, by building one unless one was built before.

        Returns:
            What the environment says of itself.

        Raises:
            FactoryFailed: It cannot be built.
        """
        while self.metadata is None and self._opening and self._checking is None:
            await asyncio.wait(self._opening)  # it tells the same, and of some classes there may be only one
        if self.metadata is None:
            if self._checking is None:
                self._checking = asyncio.create_task(self._try_one())
            await asyncio.shield(self._checking)
        return self.metadata or self._nameless()

    async def _try_one(self) -> None:
        try:
            session = await self._build()
            await self.end(session)
        finally:
            self._checking = None

    async def _build(self) -> Session:
        if self._plan is None:
            session, has_loop = await self._build_first()
            try:
                self._learn(session.plan)
            except ConfigurationError:
                await self.end(session)
                raise
            if session.plan.is_async is has_loop:
                return await self._described(session)
            await self.end(session)  # an asynchronous one needs an event loop from its first moment
        assert self._plan is not None  # for the type checker: learned above
        executor = executor_for(self._speed, is_async=self._plan.is_async, name=self._thread_name)
        return await self._described(await Session.open(self.spec, executor))

    async def _build_first(self) -> tuple[Session, bool]:
        """A session of a class that is not known; with an event loop only if building it asks for one."""
        try:
            return await Session.open(self.spec, ThreadExecutor(self._speed, self._thread_name)), False
        except FactoryFailed as error:
            if not (isinstance(error.__cause__, RuntimeError) and "no running event loop" in str(error.__cause__)):
                raise
        return await Session.open(self.spec, LoopThreadExecutor(self._speed, self._thread_name)), True

    @property
    def _thread_name(self) -> str:
        return f"openenv-{self.spec.name}"

    def _nameless(self) -> EnvironmentMetadata:
        return EnvironmentMetadata(name=self.spec.name, description="")

    async def _described(self, session: Session) -> Session:
        """The session, after the first one has told what the environment is."""
        if self.metadata is None:
            about: object = None
            try:
                about = await session.metadata()
            except OpenEnvError:
                log.exception("get_metadata of %s failed", self.spec.name)
            self.metadata = about if isinstance(about, EnvironmentMetadata) else self._nameless()
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
            if plan.needs_own_thread:
                self._speed.forbid_inline()


def _checked(capacity: int | None) -> int | None:
    if capacity is not None and capacity < 1:
        raise ConfigurationError(f"the number of sessions must be 1 or more, not {capacity}")
    return capacity
