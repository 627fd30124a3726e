"""All sessions of one environment: how many there may be, and how each one ends."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from openenv.environment import Isolation
from openenv.errors import CapacityReached, ServerDraining
from openenv.session.episode.departed import Ending
from openenv.session.isolation import WorkerSource
from openenv.session.lifetime.builder import Builder
from openenv.session.lifetime.capacity import Capacity
from openenv.session.lifetime.endings import Endings, stopped
from openenv.session.lifetime.leases import LEASE_S, Leases
from openenv.session.lifetime.places import Places, SessionPlaces
from openenv.session.lifetime.recovery import JournalOptions, NoRecovery, Recovery, open_journal
from openenv.session.lifetime.rescue import Rescue
from openenv.session.lifetime.standing import Standing
from openenv.session.served.served_lock import ServedLock
from openenv.session.served.spec import EnvironmentSpec
from openenv.session.session import Session
from openenv.types import EnvironmentMetadata

if TYPE_CHECKING:
    from openenv.tools import Mode

__all__ = ["ENDING_PATIENCE_S", "SessionEngine"]

ENDING_PATIENCE_S = 5.0
"""Seconds that an ``open`` waits for the place of a session that is ending: its client has gone and may be back."""

log = logging.getLogger("openenv.session")


def _nowhere(position: int) -> None:
    pass


class SessionEngine(Standing):
    """Opens, finds and closes the sessions of one environment.

    Args:
        spec: What is served.
        capacity: Sessions at the same time, 1 or more. ``None``: 64 where the class says
            ``SUPPORTS_CONCURRENT_SESSIONS``, else 1.
        lease_s: Seconds a session outlives its last connection, or, without any, its last request.
        idle_timeout_s: Seconds without a request after which a session ends although a connection holds it;
            ``None``: never.
        isolation: Where environments live; ``None``: as their class says, and in processes where several may not share
            one.
        journal: Where every move is kept, so that sessions survive the server; ``None``: nowhere.
        clock: Monotonic seconds.

    Attributes:
        leases: How long each one lives.
        lock: What exactly is served.
        endings: Ends them, and does what else nobody waits for.
        workers: Where the processes that environments may live in find what is served.

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
        isolation: Isolation | None = None,
        journal: JournalOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spec = spec
        self.journal = journal
        self._clock = clock
        self.workers = WorkerSource(spec)
        self.leases = Leases(lease_s, idle_timeout_s, clock)
        limits = Capacity(capacity, isolation)
        builder = Builder(spec, self.workers.supervisor, limits)
        places = Places(lambda: limits.limit, clock, self)
        super().__init__(limits, builder, places, Rescue(builder, places))
        self._prefix = ""
        self._extra: set[str] = set()  # ids of the sessions that take no place
        self._opening: set[asyncio.Task[Session]] = set()
        self.endings = Endings(spec.name)
        self.lock = ServedLock(spec)

    def resize(self, capacity: int) -> None:
        """Set how many sessions it keeps at the same time. Sessions that are open stay, also if they are more.

        Raises:
            ConfigurationError: The capacity is below 1, or above 1 for a class that does not support it.
        """
        self._capacity.resize(capacity)
        self._places.grant()

    def equip(
        self, *, mode: Mode | None = None, credentials: Mapping[str, str] | None = None,
        mounts: Sequence[Mapping[str, Any]] = (),
    ) -> None:  # fmt: skip
        """Set what environments are given besides; see ``EnvironmentSpec``. To be called before ``start``."""
        self.spec = self.spec.equipped(mode, credentials, mounts)
        self.workers.spec, self.lock = self.spec, ServedLock(self.spec)
        self._builder.serve(self.spec)

    def share(self, places: SessionPlaces, prefix: str) -> None:
        """Count places together with the engines of other processes. To be called before ``start``.

        Args:
            places: Theirs and its own.
            prefix: What the ids of its sessions begin with, and theirs do not.
        """
        self._places = self._rescue.places = places
        self._prefix = prefix

    def isolate(self, isolation: Isolation) -> None:
        """Set where environments that are built from now on live.

        Raises:
            ConfigurationError: Several of them may not share a process, and are to.
        """
        self._capacity.isolate(isolation)

    async def open(
        self,
        *,
        counted: bool = True,
        make_room: Callable[[], Awaitable[None]] | None = None,
        queue_timeout_s: float = 0.0,
        on_position: Callable[[int], None] = _nowhere,
        patient: bool = True,
        nonce: str = "",
        source: Session | None = None,
    ) -> Session:
        """Build an environment and keep its session. A caller that is cancelled leaves nothing behind.

        Args:
            counted: Whether it takes a place; an uncounted one is opened at any capacity.
            make_room: Awaited once the place is reserved and before the environment is built.
            queue_timeout_s: Seconds to wait for a place if all are taken.
            on_position: Told the position in the queue, 1 being next.
            patient: Whether to wait a little, in any case, for a place that is being given back already.
            nonce: Another name under which the session's end is remembered.
            source: A session that it is to begin where it stands.

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
        opening = asyncio.create_task(self._open(counted, make_room, nonce, source))
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
        await self._places.claim(queue_timeout_s, on_position, ENDING_PATIENCE_S if patient else 0.0)
        try:
            await self.settle()
            if self._draining:
                raise _draining()
        except BaseException:
            self._places.give_back()
            raise

    @property
    def coming_back(self) -> int:
        """Places of sessions that are ending."""
        return sum(session.is_ending for session in self.sessions if session.id not in self._extra)

    def reclaim(self, wanted: int) -> None:
        """End one session that nobody has held for long, if fewer places are coming back than are wanted."""
        found = self.leases.reclaimable() if self.coming_back < wanted else None
        if found is not None:
            self.endings.end_soon(found, Ending.RECLAIMED)

    async def settle(self) -> None:
        """Wait for a trial instance to end and, of a class that is not known yet, for the first session."""
        while True:
            if self._builder.trial is not None:  # of some classes there may be only one instance
                await asyncio.wait([self._builder.trial])
            elif self._opening and not self.is_known:  # it tells how many there may be
                await asyncio.wait(self._opening)
            else:
                return

    async def _open(
        self, counted: bool, make_room: Callable[[], Awaitable[None]] | None, nonce: str, source: Session | None
    ) -> Session:
        try:
            if make_room is not None:
                await make_room()
            name = f"{self._prefix}{secrets.token_hex(8)}"
            session = Session(await self._builder.build(), self._rescue, session_id=name, nonce=nonce)
            if counted:
                await self.recovery.keep(session, nonce)
            if source is not None:
                await self._follow(session, source)
        except BaseException:
            if counted:
                self._places.give_back()
            raise
        if not counted:
            self._extra.add(session.id)
        self._add(session, nonce)
        return session

    async def _follow(self, session: Session, source: Session) -> None:
        """Bring a new session to where another one stands; if that fails it is none."""
        kept = session.episode.chronicle
        try:
            await session.follow(source)
        except BaseException:
            await self.endings.end(session, Ending.DIVERGED)
            raise
        finally:
            if kept is not None and (session.episode.chronicle is None or session.is_ending):
                kept.ended(Ending.NOT_RESTORED.value)

    def _add(self, session: Session, nonce: str) -> None:
        self.sessions.add(session)
        session.when_closed(lambda closed: self._forget(closed, nonce))

    def _woken(self, session: Session) -> None:
        self._add(session, "")  # it has the place that was kept for it
        self.leases.begin(session)

    def _not_woken(self, session_id: str, ending: Ending) -> None:
        self.sessions.note_gone(session_id, ending)
        self._places.give_back()

    def _abandon(self, opening: asyncio.Task[Session]) -> None:
        """End the session that nobody waits for any more."""
        if not opening.cancelled() and opening.exception() is None:
            self.endings.end_soon(opening.result(), Ending.CONNECTION_LOST)

    def _forget(self, session: Session, nonce: str) -> None:
        self.leases.forget(session)
        if session.episode.chronicle is not None and session.ending is not Ending.SUSPENDED:
            session.episode.chronicle.ended((session.ending or Ending.CLOSED).value)
        self.sessions.remove(session, *([nonce] if nonce else []))
        if session.id in self._extra:
            self._extra.discard(session.id)
        else:
            self._places.give_back()

    def full(self) -> CapacityReached:
        """The error for one session too many."""
        return self._places.full()

    def reap(self) -> None:
        """Begin to end what nobody holds any more. To be called about once a second."""
        for session, ending in self.leases.over():
            log.info("session %s of %s ends: %s", session.id, self.spec.name, ending.told)
            self.endings.end_soon(session, ending)
        self._places.relieve()
        self.recovery.forget_old()

    async def start(self) -> None:
        """Take sessions, also after a drain: an application may be started again.

        Raises:
            ConfigurationError, RuntimeFailure: The processes that environments are to live in cannot be started.
            RecordError: The journal cannot be kept.
        """
        self._draining = False
        await self._builder.prepare()
        journal = None if self.journal is None else open_journal(self.journal, self.spec.name)
        if journal is not None:
            lease_s = self.leases.lease_s
            self.recovery = Recovery(
                self.sessions,
                journal,
                self._builder,
                self._rescue,
                lease_s,
                self._clock,
                self.lock,
                self._woken,
                self._not_woken,
            )
            self._places.keep(len(self.recovery))
            known = {ending.value: ending for ending in Ending}
            for session_id, reason in journal.reasons.items():
                if reason in known:
                    self.sessions.note_gone(session_id, known[reason])

    async def drain(self, grace_s: float | None = None) -> None:
        """Take no more sessions, let running requests finish, end all sessions and tell their clients.

        Args:
            grace_s: How long to wait for them; ``None``: until the last has ended.
        """
        self._draining = True
        self._places.refuse(_draining)
        async with asyncio.timeout(grace_s):
            waiting = {*self._opening, *([self._builder.trial] if self._builder.trial else [])}
            if waiting:
                await asyncio.wait(waiting)
            await self.recovery.rest()
            await asyncio.gather(*(self.endings.end(session, stopped(session)) for session in self.sessions))
            await self.endings.finish()

    async def aclose(self) -> None:
        """End all sessions, also those that are being opened. No other can be opened until ``start``."""
        await self.drain()
        if self.stuck:
            log.error("%d environments of %s hang in a call that does not return", self.stuck, self.spec.name)
        try:
            await self.recovery.aclose()  # a journal that failed says so here
        finally:
            self.recovery = NoRecovery(self.sessions)
            await self._rescue.finish()
            await self._builder.aclose()

    async def check(self) -> EnvironmentMetadata:
        """Make sure that an environment can be built, by building one unless one was built before.

        Returns:
            What the environment says of itself.

        Raises:
            FactoryFailed: It cannot be built.
        """
        while self.metadata is None and self._opening and self._builder.trial is None:
            await asyncio.wait(self._opening)  # it tells the same, and of some classes there may be only one
        return await self._builder.check()


def _draining() -> ServerDraining:
    return ServerDraining("the server is stopping and takes no new session; try again or elsewhere in a moment")
