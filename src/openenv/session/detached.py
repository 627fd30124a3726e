"""Sessions reached by single requests instead of a connection: one that all share, and private ones with a lease."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from openenv.errors import EpisodeLost, ResetNeeded
from openenv.session.engine import SessionEngine
from openenv.session.session import Session

__all__ = ["LEASE_S", "DetachedSessions"]

LEASE_S = 900.0
"""Seconds a private session outlives its last request."""


@dataclass
class _Lease:
    session: Session
    expires_at: float


class DetachedSessions:
    """Sessions of clients that hold no connection.

    The shared session takes no place. Of a class that does not support several instances it gives way, between
    two requests, when somebody needs the only place; its next step then says that the episode was lost.

    Args:
        engine: Where the sessions live.
        lease_s: Seconds a private session outlives its last request.
        clock: Monotonic seconds.
    """

    def __init__(
        self, engine: SessionEngine, lease_s: float = LEASE_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.lease_s = lease_s
        self._engine = engine
        self._clock = clock
        self._leases: dict[str, _Lease] = {}
        self._shared: Session | None = None
        self._shared_was_lost = False
        self._sharing = asyncio.Lock()

    async def open(self) -> Session:
        """A private session; see ``SessionEngine.open`` for what can fail."""
        await self.reap()
        session = await self._engine.open(make_room=self.give_way)
        self._leases[session.id] = _Lease(session, self._clock() + self.lease_s)
        return session

    def find(self, session_id: str) -> Session:
        """The session with that id; a private one's lease begins anew."""
        session = self._engine.get(session_id)
        lease = self._leases.get(session_id)
        if lease is not None:
            lease.expires_at = self._clock() + self.lease_s
        return session

    async def close(self, session: Session) -> None:
        """End a private session."""
        self._leases.pop(session.id, None)
        await self._engine.close(session)

    async def reap(self) -> None:
        """End the private sessions whose lease is over and that have nothing to do."""
        now = self._clock()
        over = []
        for lease in self._leases.values():
            if lease.session.is_busy:
                lease.expires_at = now + self.lease_s
            elif lease.expires_at <= now:
                over.append(lease.session)
        for session in over:  # before anything is awaited: nobody may find one of them any more
            del self._leases[session.id]
        await asyncio.gather(*(self._engine.end(session) for session in over))

    async def for_reset(self) -> Session:
        """The shared session, made if there is none."""
        async with self._sharing:
            if self._shared is None:
                await self._engine.settle()
                if not self._engine.is_concurrent and self._engine.active:
                    raise self._engine.full()
                self._shared = await self._engine.open(counted=False)
            self._shared_was_lost = False
            return self._shared

    async def for_step(self) -> Session:
        """The shared session, which has to be there.

        Raises:
            ResetNeeded: Nobody called reset yet.
            EpisodeLost: It gave way to another session.
        """
        shared = self.shared()
        if shared is not None:
            return shared
        if not self._engine.is_known:
            await self._engine.check()  # only its class tells whether a step needs a reset
        if self._engine.is_lenient:
            return await self.for_reset()
        raise ResetNeeded("no episode is running; POST /reset first")

    def shared(self) -> Session | None:
        """The shared session; ``None`` before the first reset.

        Raises:
            EpisodeLost: It gave way to another session.
        """
        if self._shared is None and self._shared_was_lost:
            raise EpisodeLost(
                "the shared session gave its place to another one; reset() begins a new episode",
                details={"reason": "gave_way"},
            )
        return self._shared

    async def give_way(self) -> None:
        """Free the only place for a session that is about to open, if the shared one holds it and is idle."""
        if self._engine.is_concurrent or not self._engine.is_known:  # not known: no session has been there yet
            return
        async with self._sharing:
            shared = self._shared
            if shared is None:
                return
            if shared.is_busy:
                raise self._engine.full()
            self._shared, self._shared_was_lost = None, True
            await self._engine.end(shared)
