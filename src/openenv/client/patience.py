"""How long a broken connection is tried again, and with which pauses."""

from __future__ import annotations

from collections.abc import Callable, Iterator

__all__ = ["FIRST_PAUSE_S", "LONGEST_PAUSE_S", "Patience", "growing_pauses"]

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 5.0
_FIRST_FOR_PLACE_S, _LONGEST_FOR_PLACE_S = 0.02, 1.0


class Patience:
    """Pauses before further attempts: none before the first, then up to twice as long each time, drawn by chance.

    The time without a connection is bounded. A connection that brought an answer, or lived longer than the longest
    pause, makes everything new; one that broke before that continues the old series.

    Args:
        limit_s: Seconds without a connection, in all; 0: no attempt.
        clock: Seconds that rise.
        random: From 0 to 1, so that clients of a server that comes back do not come all at once
            (exponential backoff with full jitter).
    """

    def __init__(self, limit_s: float, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self._limit_s, self._clock, self._random = limit_s, clock, random
        self._spent_s = 0.0
        self._attempts = 0
        self._up_since: float | None = None
        self._down_since: float | None = None

    def broke(self) -> None:
        """Note that the connection is gone."""
        if self._down_since is not None:
            return
        now = self._clock()
        if self._up_since is not None and now - self._up_since > LONGEST_PAUSE_S:
            self.renew()
        self._up_since, self._down_since = None, now

    def connected(self) -> None:
        """Note that there is a connection again."""
        now = self._clock()
        if self._down_since is not None:
            self._spent_s += now - self._down_since
        self._up_since, self._down_since = now, None

    def renew(self) -> None:
        """Note an answer: the next break begins with all its time."""
        self._spent_s, self._attempts = 0.0, 0

    @property
    def left_s(self) -> float:
        """Seconds until it is over."""
        down_s = 0.0 if self._down_since is None else self._clock() - self._down_since
        return max(0.0, self._limit_s - self._spent_s - down_s)

    def pause(self) -> float | None:
        """Seconds to wait before the next attempt; ``None``: no more attempts."""
        left_s = self.left_s
        if left_s <= 0:
            return None
        longest_s = 0.0 if self._attempts == 0 else min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (self._attempts - 1))
        self._attempts = min(self._attempts + 1, 64)
        return min(self._random() * longest_s, left_s)


def growing_pauses(limit_s: float, goes_on: Callable[[], bool]) -> Iterator[float]:
    """Seconds to wait before each further attempt at a place, growing, ``limit_s`` in all, as long as that goes on."""
    pause_s, waited_s = _FIRST_FOR_PLACE_S, 0.0
    while goes_on() and waited_s < limit_s:
        pause_s = min(pause_s, limit_s - waited_s)
        yield pause_s
        waited_s += pause_s
        pause_s = min(2 * pause_s, _LONGEST_FOR_PLACE_S)
