"""What a pool counts."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["PoolMetrics", "Tally"]

_KEPT = 4096


@dataclass(frozen=True)
class PoolMetrics:
    """What a pool has done since it was opened.

    Attributes:
        sessions: Sessions that are open now.
        in_flight: Requests that wait for their answer now.
        steps, resets: Answers to them, autoresets and prefetched resets included.
        errors: Requests that ended in an error.
        lost: Episodes that were lost; each is an error too.
        reconnects: Connections made after a break.
        p50_ms, p95_ms: Milliseconds from request to answer, of the last 4096; ``None`` before the first.
    """

    sessions: int
    in_flight: int
    steps: int
    resets: int
    errors: int
    lost: int
    reconnects: int
    p50_ms: float | None
    p95_ms: float | None


class Tally:
    """Counts as answers come."""

    def __init__(self) -> None:
        self.steps = self.resets = self.errors = self.lost = 0
        self._seconds: deque[float] = deque(maxlen=_KEPT)

    def took(self, seconds: float) -> None:
        """Note how long an answer took."""
        self._seconds.append(seconds)

    def quantile_ms(self, part: float) -> float | None:
        """Milliseconds within which that part of the last answers came, from 0 to 1."""
        if not self._seconds:
            return None
        ordered = sorted(self._seconds)
        return 1000.0 * ordered[min(len(ordered) - 1, int(part * len(ordered)))]

    def metrics(self, *, sessions: int, in_flight: int, reconnects: int) -> PoolMetrics:
        """The counts as they stand."""
        return PoolMetrics(
            sessions=sessions,
            in_flight=in_flight,
            steps=self.steps,
            resets=self.resets,
            errors=self.errors,
            lost=self.lost,
            reconnects=reconnects,
            p50_ms=self.quantile_ms(0.50),
            p95_ms=self.quantile_ms(0.95),
        )
