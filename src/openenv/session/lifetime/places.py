"""The places of one server: how many there are, who has one, who waits for one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from openenv.errors import CapacityReached
from openenv.session.lifetime.line import WaitingLine

__all__ = ["Census", "Occupants", "Places", "SessionPlaces", "all_taken"]


@dataclass(frozen=True)
class Census:
    """How the places of a whole server stand.

    Attributes:
        capacity: How many there are.
        active: How many somebody has.
        waiting: How many wait for one.
        failure: Why some process of the server can go on with no session, if one cannot.
        processes: The same for each process, where there are several.
    """

    capacity: int
    active: int
    waiting: int
    failure: str | None = None
    processes: list[dict[str, Any]] = field(default_factory=list)


class Occupants(Protocol):
    """Those who have places, as far as they are asked for them."""

    @property
    def coming_back(self) -> int:
        """Places of sessions that are ending."""

    def reclaim(self, wanted: int) -> None:
        """End one session that nobody has held for long, if fewer places are coming back than are wanted."""


class SessionPlaces(Protocol):
    """What an engine needs of places, whoever counts them."""

    @property
    def capacity(self) -> int:
        """How many there are."""

    @property
    def taken(self) -> int:
        """How many somebody here has."""

    @property
    def waiting(self) -> int:
        """How many here wait for one."""

    async def claim(self, wait_s: float, on_position: Callable[[int], None], patience_s: float) -> None:
        """Take a place for a session; see ``Places.claim``."""

    def keep(self, count: int) -> None:
        """Count places that somebody has already, whether or not there are so many."""

    def give_back(self) -> None:
        """Give back a place."""

    def grant(self) -> None:
        """There may be more places than before."""

    def relieve(self) -> None:
        """Look after those who wait. To be called about once a second."""

    def refuse(self, error: Callable[[], Exception]) -> None:
        """Send everybody away who waits, each with an error of their own."""

    def full(self) -> CapacityReached:
        """The error for one session too many."""

    async def census(self) -> Census:
        """How all of them stand, also those that others count."""


class Places:
    """Counts places. Whoever takes one gives it back once, when its session has ended.

    Args:
        capacity: Tells how many there are.
        clock: Monotonic seconds.
        occupants: Who has them; where nobody is named, ``claim`` and ``relieve`` are not to be called.

    Attributes:
        taken: How many somebody has.
    """

    def __init__(
        self,
        capacity: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
        occupants: Occupants | None = None,
    ) -> None:
        self.taken = 0
        self._capacity = capacity
        self._occupants = occupants
        self._line = WaitingLine(self.give_back, clock=clock)

    @property
    def capacity(self) -> int:
        """How many there are."""
        return self._capacity()

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._line)

    @property
    def is_free(self) -> bool:
        """Whether one can be taken at once; those who wait go first."""
        return self.taken < self._capacity() and not self.waiting

    async def claim(self, wait_s: float, on_position: Callable[[int], None], patience_s: float) -> None:
        """Take a place for a session; where there is none, one that nobody has held for long gives up its own.

        Args:
            wait_s: How long to wait.
            on_position: Told the position in the queue, 1 being next.
            patience_s: How long to wait at least if a place is coming back already.

        Raises:
            CapacityReached: There is none.
        """
        assert self._occupants is not None
        if not self.is_free:
            self._occupants.reclaim(self.waiting + 1)
        in_sight = self._occupants.coming_back > self.waiting
        await self.take(max(wait_s, patience_s if in_sight else 0.0), on_position)

    def relieve(self) -> None:
        """Have one that nobody has held for long give up its place, if somebody waits for one."""
        assert self._occupants is not None
        self._occupants.reclaim(self.waiting)

    def keep(self, count: int) -> None:
        """Count places that somebody has already, whether or not there are so many."""
        self.taken += count

    async def take(self, wait_s: float, on_position: Callable[[int], None]) -> None:
        """Take a place, waiting for it if need be. A caller that is cancelled has none.

        Args:
            wait_s: How long to wait; 0: not at all.
            on_position: Told the position in the queue, 1 being next.

        Raises:
            CapacityReached: There is none.
        """
        if self.is_free:
            self.taken += 1
        elif wait_s <= 0 or self._line.is_full or not await self._line.wait(wait_s, on_position):
            raise self.full()

    def give_back(self) -> None:
        """Give back a place."""
        self.taken -= 1
        self._line.note_freed()
        self.grant()

    def grant(self) -> None:
        """Have those who wait get the places that are free."""
        while self.taken < self._capacity() and self._line.grant():
            self.taken += 1

    def refuse(self, error: Callable[[], Exception]) -> None:
        """Send everybody away who waits, each with an error of their own."""
        self._line.refuse(error)

    def full(self) -> CapacityReached:
        """The error for one session too many."""
        return all_taken(self.taken, self._capacity(), self._line.advice_s())

    async def census(self) -> Census:
        """How they stand."""
        return Census(self._capacity(), self.taken, self.waiting)


def all_taken(active: int, capacity: int, retry_after_s: float) -> CapacityReached:
    """The error for one session too many: so many are there, so many may be, and when to ask again."""
    taken = "the only place is taken" if capacity == 1 else f"all {capacity} places are taken"
    more = "openenv serve --max-sessions, or max_concurrent_envs"
    if capacity == 1:  # as of a class that does not say
        more += ", or SUPPORTS_CONCURRENT_SESSIONS = True in a class whose instances share nothing"
    return CapacityReached(
        # old trainers look for the code in the text
        f"CAPACITY_REACHED: {taken}; close a session, wait for one with queue_timeout_s, or serve with more: {more}",
        details={"active_sessions": active, "max_sessions": capacity, "retry_after_s": retry_after_s},
    )
