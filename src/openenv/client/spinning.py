"""A short busy wait before an idle one: a processor that fell asleep takes longer to wake than a step takes."""

from __future__ import annotations

import os
from collections.abc import Callable
from time import perf_counter

__all__ = ["SPIN_S", "Spin", "give_way"]

SPIN_S = 250e-6
"""Longest busy wait, in seconds: a step of a fast environment and back, on a slow virtual machine. Much shorter ones
end just before the answer comes, and then cost without helping."""

_MOST_MISSES = 10  # where none helps, at most one wait in 1024 is a busy one
_FORGIVES = 32  # after so many that helped in a row, one that did not is forgotten

give_way: Callable[[], object] = getattr(os, "sched_yield", lambda: None)
"""Let another process have the processor, if one wants it: it may be the server."""

_taken_until = 0.0  # when another may begin: of all in this process only one waits like this at a time


class Spin:
    """The busy waits of one connection. The more of them were in vain, the longer until the next.

    One in vain may cost much: where programs compete for the processors, to give way is to wait for all of them.

    Args:
        clock: Seconds that rise.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._misses = self._passes = self._helped = 0
        self._over_at = 0.0

    def begins(self) -> bool:
        """Begin a busy wait, if it is worth it this time; then ask ``goes_on`` until it is false."""
        global _taken_until
        if self._passes:
            self._passes -= 1
            return False
        now = self._clock()
        if now < _taken_until:
            return False
        _taken_until = self._over_at = now + SPIN_S
        return True

    def goes_on(self, *, is_over: bool) -> bool:
        """Whether to wait on; ``is_over`` says that what was waited for has come."""
        global _taken_until
        if not is_over and self._clock() < self._over_at:
            return True
        _taken_until = 0.0
        if is_over:
            self._helped += 1
            if self._helped == _FORGIVES:
                self._helped, self._misses = 0, max(0, self._misses - 1)
        else:
            self._helped, self._misses = 0, min(self._misses + 1, _MOST_MISSES)
            self._passes = 2**self._misses - 1
        return False
