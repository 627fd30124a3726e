"""How long sessions live: while a connection holds them, and then for their lease."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from openenv.errors import ConfigurationError
from openenv.session.episode.departed import Ending
from openenv.session.session import Session

__all__ = ["LEASE_S", "UNCLAIMED_S", "Leases"]

LEASE_S = 900.0
"""Seconds a session outlives its last connection, unless told otherwise."""

UNCLAIMED_S = 60.0
"""The same for a session whose client went before it heard of it: it is still there, or will never come."""

RECLAIMABLE_S = 60.0
"""Seconds after its last connection ended from which a session may have to give its place to somebody else's."""


@dataclass(eq=False)
class _Lease:
    session: Session
    lease_s: float
    held: int = 0  # connections
    detached_at: float = 0.0
    requests: int = 0  # that it had answered when last looked at
    used_at: float = 0.0  # when that number changed last


class Leases:
    """Tells which sessions are to end because nobody holds or uses them, never one that has something to do.

    Args:
        lease_s: Seconds a session outlives its last connection, or, without any, its last request.
        idle_timeout_s: Seconds without a request after which also a session that is held ends; ``None``: never.
        clock: Monotonic seconds.

    Raises:
        ConfigurationError: One of the times is not a number of seconds above 0.
    """

    def __init__(
        self,
        lease_s: float = LEASE_S,
        idle_timeout_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._leases: dict[str, _Lease] = {}
        self.lease_s = LEASE_S
        self._idle_timeout_s: float | None = None
        self.set(lease_s, idle_timeout_s)

    def set(self, lease_s: float | None = None, idle_timeout_s: float | None = None) -> None:
        """Change the times; ``None`` leaves one as it is.

        Raises:
            ConfigurationError: One is not a number of seconds above 0.
        """
        for name, value in (("lease_s", lease_s), ("idle_timeout_s", idle_timeout_s)):
            if value is not None and not 0 < value < math.inf:
                raise ConfigurationError(f"{name} must be a number of seconds above 0, not {value}")
        self.lease_s = self.lease_s if lease_s is None else lease_s
        self._idle_timeout_s = self._idle_timeout_s if idle_timeout_s is None else idle_timeout_s

    def begin(self, session: Session, lease_s: float | None = None) -> None:
        """Keep a session that nobody holds yet."""
        now = self._clock()
        lease = _Lease(session, self.lease_s if lease_s is None else lease_s, detached_at=now, used_at=now)
        self._leases[session.id] = lease

    def hold(self, session: Session) -> None:
        """A connection holds the session."""
        lease = self._leases.get(session.id)
        if lease is not None:
            lease.held += 1
            lease.lease_s, lease.used_at = self.lease_s, self._clock()  # it is claimed now

    def let_go(self, session: Session) -> None:
        """A connection that held the session has ended."""
        lease = self._leases.get(session.id)
        if lease is not None:
            lease.held -= 1
            lease.detached_at = self._clock()

    def renew(self, session: Session) -> None:
        """A request without a connection came for the session."""
        lease = self._leases.get(session.id)
        if lease is not None:
            lease.lease_s = self.lease_s
            lease.detached_at = lease.used_at = self._clock()

    def forget(self, session: Session) -> None:
        """The session has ended."""
        self._leases.pop(session.id, None)

    def over(self) -> list[tuple[Session, Ending]]:
        """The sessions that are to end now, and why."""
        now = self._clock()
        found = []
        for lease in self._leases.values():
            session = lease.session
            if session.is_ending:
                continue
            if session.is_busy or session.requests != lease.requests:
                lease.requests, lease.used_at = session.requests, now
                if session.is_busy:
                    lease.detached_at = now
                    continue
            if not lease.held and now - lease.detached_at >= lease.lease_s:
                found.append((session, Ending.LEASE_EXPIRED))
            elif lease.held and self._idle_timeout_s is not None and now - lease.used_at >= self._idle_timeout_s:
                found.append((session, Ending.IDLE))
        return found

    def reclaimable(self) -> Session | None:
        """The session that nobody has held for longest, if for long enough that it may have to give its place."""
        oldest = self._longest_detached()
        return None if oldest is None else oldest.session

    def reclaimable_for_s(self) -> float | None:
        """Seconds for which nobody has held that session; ``None`` if there is none."""
        oldest = self._longest_detached()
        return None if oldest is None else self._clock() - oldest.detached_at

    def _longest_detached(self) -> _Lease | None:
        now = self._clock()
        free = [lease for lease in self._leases.values() if not (lease.held or lease.session.is_busy)]
        oldest = min(
            (lease for lease in free if not lease.session.is_ending), key=lambda one: one.detached_at, default=None
        )
        if oldest is None or now - oldest.detached_at < RECLAIMABLE_S:
            return None
        return oldest
