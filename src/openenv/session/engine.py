"""All sessions of one environment: how many there may be, and how each one ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from openenv.environment import EnvironmentPlan
from openenv.errors import (
    CapacityReached,
    ConfigurationError,
    OpenEnvError,
    ServerDraining,
)
from openenv.session.builder import Builder
from openenv.session.departed import Ending
from openenv.session.leases import LEASE_S, Leases
from openenv.session.places import Places
from openenv.session.session import Session
from openenv.session.spec import EnvironmentSpec
from openenv.session.table import SessionTable
from openenv.types import EnvironmentMetadata

__all__ = ["CONCURRENT_CAPACITY", "ENDING_PATIENCE_S", "SessionEngine"]

CONCURRENT_CAPACITY = 64
"""Sessions kept at the same time, unless told otherwise, where the class supports several."""

ENDING_PATIENCE_S = 5.0
"""Seconds that an ``open`` waits for the place of a session that is ending: its client has gone and may be back."""

_LAST_WORDS_S = 1.0  # that clients are given to take the notices of a server that stops

log = logging.getLogger("openenv.session")


def _nowhere(position: int) -> None:
    pass


class SessionEngine:
    """Opens, finds and closes the sessions of one environment.

    Args:
        spec: What is served.
        capacity: Sessions at the same time, 1 or more. ``None``: 64 where the class says
            ``SUPPORTS_CONCURRENT_SESSIONS``, else 1.
        lease_s: Seconds a session outlives its last connection, or, without any, its last request.
        idle_timeout_s: Seconds without a request after which a session ends although a connection holds it;
            ``None``: never.
        clock: Monotonic seconds.

    Attributes:
        sessions: The sessions by their ids.
        leases: How long each one lives.

    Raises:
        ConfigurationError: The capacity is below 1, or above 1 for a class that does not support it, or a time is not
            above 0.
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        capacity: int | None = None,
        *,
        lease_s: float = LEASE_S,
        idle_timeout_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spec = spec
        self.leases = Leases(lease_s, idle_timeout_s, clock)
        self._asked_capacity = _checked(capacity)
        self._builder = Builder(spec, self._accept)
        self._places = Places(lambda: self.capacity, clock)
        self.sessions = SessionTable()
        self._extra: set[str] = set()  # ids of the sessions that take no place
        self._opening: set[asyncio.Task[Session]] = set()
        self._background: set[asyncio.Task[Any]] = set()  # ends that nobody waits for, and notices of them
        self._checking: asyncio.Task[None] | None = None
        self._draining = False

    @property
    def capacity(self) -> int:
        """Sessions it keeps at the same time."""
        if self._asked_capacity is not None:
            return self._asked_capacity
        return CONCURRENT_CAPACITY if self.is_concurrent else 1

    def resize(self, capacity: int) -> None:
        """Set how many sessions it keeps at the same time. Sessions that are open stay, also if they are more.

        Raises:
            ConfigurationError: The capacity is below 1, or above 1 for a class that does not support it.
        """
        before, self._asked_capacity = self._asked_capacity, _checked(capacity)
        try:
            if self._builder.plan is not None:
                self._accept(self._builder.plan)
        except ConfigurationError:
            self._asked_capacity = before
            raise
        self._places.grant()

    @property
    def active(self) -> int:
        """Places taken: sessions that live, open or close just now."""
        return self._places.taken

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return self._places.waiting

    @property
    def is_draining(self) -> bool:
        """Whether the server is stopping."""
        return self._draining

    @property
    def metadata(self) -> EnvironmentMetadata | None:
        """What the environment says of itself, once one was built."""
        return self._builder.metadata

    @property
    def is_known(self) -> bool:
        """Whether the class is known: at once where one is served, from the first session where a factory is."""
        return self._builder.plan is not None

    @property
    def is_concurrent(self) -> bool:
        """Whether several instances may live side by side; False until that is known."""
        return self._builder.plan is not None and self._builder.plan.concurrent

    @property
    def is_lenient(self) -> bool:
        """Whether a step without a reset is legal."""
        return self._builder.plan is not None and self._builder.plan.lifecycle == "lenient"

    async def open(
        self,
        *,
        counted: bool = True,
        make_room: Callable[[], Awaitable[None]] | None = None,
        queue_timeout_s: float = 0.0,
        on_position: Callable[[int], None] = _nowhere,
        patient: bool = True,
        nonce: str = "",
    ) -> Session:
        """Build an environment and keep its session. A caller that is cancelled leaves nothing behind.

        Args:
            counted: Whether it takes a place; an uncounted one is opened at any capacity.
            make_room: Awaited once the place is reserved and before the environment is built.
            queue_timeout_s: Seconds to wait for a place if all are taken.
            on_position: Told the position in the queue, 1 being next.
            patient: Whether to wait a little, in any case, for a place that is being given back already.
            nonce: Another name under which the session's end is remembered.

        Raises:
            CapacityReached: All places are taken.
            ServerDraining: The server is stopping.
            FactoryFailed: The environment could not be built.
        """
        await self.settle()
        if counted:
            await self._take_place(queue_timeout_s, on_position, patient)
        elif self._draining:
            raise _draining()
        opening = asyncio.create_task(self._open(counted, make_room, nonce))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._abandon)
            raise

    async def _take_place(self, queue_timeout_s: float, on_position: Callable[[int], None], patient: bool) -> None:
        if self._draining:
            raise _draining()
        if not self._places.is_free:
            self._reclaim(self._places.waiting + 1)
        in_sight = patient and self._coming_back > self._places.waiting
        await self._places.take(max(queue_timeout_s, ENDING_PATIENCE_S if in_sight else 0.0), on_position)
        try:
            await self.settle()
            if self._draining:
                raise _draining()
        except BaseException:
            self._places.give_back()
            raise

    @property
    def _coming_back(self) -> int:
        """Places of sessions that are ending."""
        return sum(session.is_ending for session in self.sessions if session.id not in self._extra)

    def _reclaim(self, wanted: int) -> None:
        """End one session that nobody has held for long, if fewer places are coming back than are wanted."""
        found = self.leases.reclaimable() if self._coming_back < wanted else None
        if found is not None:
            self.end_soon(found, Ending.RECLAIMED)

    async def settle(self) -> None:
        """Wait for a trial instance to end and, of a class that is not known yet, for the first session."""
        while True:
            if self._checking is not None:  # of some classes there may be only one instance
                await asyncio.wait([self._checking])
            elif self._opening and not self.is_known:  # it tells how many there may be
                await asyncio.wait(self._opening)
            else:
                return

    async def _open(self, counted: bool, make_room: Callable[[], Awaitable[None]] | None, nonce: str) -> Session:
        try:
            if make_room is not None:
                await make_room()
            session = await self._builder.build()
        except BaseException:
            if counted:
                self._places.give_back()
            raise
        self.sessions.add(session)
        if not counted:
            self._extra.add(session.id)
        session.when_closed(lambda closed: self._forget(closed, nonce))
        return session

    def _abandon(self, opening: asyncio.Task[Session]) -> None:
        """End the session that nobody waits for any more."""
        if not opening.cancelled() and opening.exception() is None:
            self.end_soon(opening.result(), Ending.CONNECTION_LOST)

    def _forget(self, session: Session, nonce: str) -> None:
        self.leases.forget(session)
        self.sessions.remove(session, *([nonce] if nonce else []))
        if session.id in self._extra:
            self._extra.discard(session.id)
        else:
            self._places.give_back()

    def full(self) -> CapacityReached:
        """The error for one session too many."""
        return self._places.full()

    async def close(self, session: Session, ending: Ending = Ending.CLOSED) -> None:
        """End a session. Its place is free when its environment is closed, even if that raised.

        Raises:
            ExecutionFailed: The environment's ``close`` raised.
        """
        await session.close(ending)

    async def end(self, session: Session, ending: Ending) -> None:
        """End a session where nobody waits for the answer: a failing ``close`` is logged."""
        await self._logged(session.begin_close(ending))

    async def _logged(self, closing: asyncio.Task[None]) -> None:
        try:
            await asyncio.shield(closing)
        except OpenEnvError:
            log.exception("closing an environment of %s failed; its session has ended", self.spec.name)

    def end_soon(self, session: Session, ending: Ending) -> None:
        """End a session without waiting for it. It is said to be ending from now on."""
        self.in_background(self._logged(session.begin_close(ending)))

    def in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something that nobody waits for, but a stopping server."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def reap(self) -> None:
        """Begin to end what nobody holds any more. To be called about once a second."""
        for session, ending in self.leases.over():
            log.info("session %s of %s ends: %s", session.id, self.spec.name, ending.told)
            self.end_soon(session, ending)
        self._reclaim(self._places.waiting)

    def start(self) -> None:
        """Take sessions, also after a drain: an application may be started again."""
        self._draining = False

    async def drain(self, grace_s: float | None = None) -> None:
        """Take no more sessions, let running requests finish, end all sessions and tell their clients.

        Args:
            grace_s: How long to wait for them; ``None``: until the last has ended.
        """
        self._draining = True
        self._places.refuse(_draining)
        async with asyncio.timeout(grace_s):
            waiting = {*self._opening, *([self._checking] if self._checking else [])}
            if waiting:
                await asyncio.wait(waiting)
            await asyncio.gather(*(self.end(session, Ending.SERVER_STOPPED) for session in self.sessions))
            while self._background:
                done, _ = await asyncio.wait(self._background, timeout=_LAST_WORDS_S)
                if not done:
                    break

    async def aclose(self) -> None:
        """End all sessions, also those that are being opened. No other can be opened until ``start``."""
        await self.drain()

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
        return self.metadata or self._builder.nameless()

    async def _try_one(self) -> None:
        try:
            await self._builder.end(await self._builder.build())
        finally:
            self._checking = None

    def _accept(self, plan: EnvironmentPlan) -> None:
        """Whether the class can be served like this."""
        if (self._asked_capacity or 1) > 1 and not plan.concurrent:
            raise ConfigurationError(
                f"{plan.name} does not say that several of it may live in one process, so it cannot serve "
                f"{self._asked_capacity} sessions; set SUPPORTS_CONCURRENT_SESSIONS = True if they share nothing"
            )


def _draining() -> ServerDraining:
    return ServerDraining("the server is stopping and takes no new session; try again or elsewhere in a moment")


def _checked(capacity: int | None) -> int | None:
    if capacity is not None and capacity < 1:
        raise ConfigurationError(f"the number of sessions must be 1 or more, not {capacity}")
    return capacity
