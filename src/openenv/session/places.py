"""The places of one server: how many there are, who has one, who waits for one."""

from __future__ import annotations

import time
from collections.abc import Callable

from openenv.errors import CapacityReached
from openenv.session.line import WaitingLine

__all__ = ["Places"]


class Places:
    """Counts places. Whoever takes one gives it back once, when its session has ended.

    Args:
        capacity: Tells how many there are.
        clock: Monotonic seconds.

    Attributes:
        taken: How many somebody has.
    """

    def __init__(self, capacity: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self.taken = 0
        self._capacity = capacity
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
        capacity = self._capacity()
        return CapacityReached(
            # old trainers look for the code in the text
            f"CAPACITY_REACHED: all {capacity} places are taken; close a session, wait for one with "
            "queue_timeout_s, or serve with a larger max_concurrent_envs",
            details={
                "active_sessions": self.taken,
                "max_sessions": capacity,
                "retry_after_s": self._line.advice_s(),
            },
        )
