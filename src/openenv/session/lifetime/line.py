"""Who waits for a place, in the order in which they came."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

__all__ = ["LONGEST_LINE", "WaitingLine"]

LONGEST_LINE = 1024
"""How many may wait at the same time."""

_SHORTEST_ADVICE_S, _LONGEST_ADVICE_S = 1.0, 60.0


class _Waiter:
    def __init__(self, on_position: Callable[[int], None]) -> None:
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_position = on_position
        self._position = 0

    def tell(self, position: int) -> None:
        if position != self._position:
            self._position = position
            self._on_position(position)

    @property
    def was_granted(self) -> bool:
        return self.granted.done() and not self.granted.cancelled() and self.granted.exception() is None


class WaitingLine:
    """A queue that is first come, first served.

    Args:
        give_back: Called for a place that was granted to someone who has gone.
        longest: How many may wait.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        give_back: Callable[[], None],
        longest: int = LONGEST_LINE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._give_back = give_back
        self._longest = longest
        self._clock = clock
        self._waiters: list[_Waiter] = []
        self._freed_at: deque[float] = deque(maxlen=32)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiters)

    @property
    def is_full(self) -> bool:
        """Whether nobody more may wait."""
        return len(self._waiters) >= self._longest

    async def wait(self, timeout_s: float, on_position: Callable[[int], None]) -> bool:
        """Wait for a place; whether one was granted.

        Whoever is granted a place holds it from that moment. A caller that is cancelled has none.

        Args:
            timeout_s: How long to wait.
            on_position: Told the position, 1 being next, at once and whenever it changes.

        Raises:
            Exception: What ``refuse`` was given.
        """
        waiter = _Waiter(on_position)
        self._waiters.append(waiter)
        waiter.tell(len(self._waiters))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await waiter.granted
        except asyncio.CancelledError:
            if waiter.was_granted:
                self._give_back()
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                self._tell_positions()
        return waiter.was_granted

    def grant(self) -> bool:
        """Give a place to whoever is next; whether there was someone."""
        while self._waiters:
            waiter = self._waiters.pop(0)
            if not waiter.granted.done():  # else it has just given up
                waiter.granted.set_result(None)
                self._tell_positions()
                return True
        return False

    def refuse(self, error: Callable[[], Exception]) -> None:
        """Send everybody away, each with an error of their own."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.granted.done():
                waiter.granted.set_exception(error())

    def note_freed(self) -> None:
        """Take note that a place became free, which tells how long others will wait."""
        self._freed_at.append(self._clock())

    def advice_s(self) -> float:
        """Seconds after which someone who comes now might find a place, from how often places became free of late."""
        if len(self._freed_at) < 2:
            return _SHORTEST_ADVICE_S
        between_s = (self._clock() - self._freed_at[0]) / len(self._freed_at)
        return round(min(max((len(self) + 1) * between_s, _SHORTEST_ADVICE_S), _LONGEST_ADVICE_S), 1)

    def _tell_positions(self) -> None:
        for position, waiter in enumerate(self._waiters, 1):
            waiter.tell(position)
