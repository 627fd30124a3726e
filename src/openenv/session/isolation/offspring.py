"""What a worker may leave behind, and how to tell whose it is and end it."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Collection
from contextlib import suppress

__all__ = ["Offspring", "children", "kill_group", "mark"]

# RLIMIT_LOCKS of Linux' asm-generic/resource.h: inherited by every descendant, and without effect since Linux 2.4.25.
_MARK = 10
_SHIFT = 32


def mark(owner: int, number: int) -> None:
    """Mark this process, and all that it will start, as worker ``number`` of the fork server with that process id."""
    with suppress(OSError, ValueError):  # not offered here: its process group alone tells
        resource.setrlimit(_MARK, (owner << _SHIFT | number, resource.RLIM_INFINITY))


def children() -> list[int]:
    """Process ids of this process's children, those included that it adopted; nothing where the kernel does not say."""
    found: list[int] = []
    with suppress(OSError):
        for task in os.listdir("/proc/self/task"):
            with suppress(OSError), open(f"/proc/self/task/{task}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
    return found


def kill_group(pid: int) -> None:
    """Kill a worker that was not reaped yet, and its process group, which it leads once it has begun."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


class Offspring:
    """The orphans that this process adopts as a subreaper: what workers started outlives them only until it is seen.

    A daemon of a worker that lives is left alone. When an orphan is killed its own children are adopted in turn, and
    their turn comes when its end is seen.
    """

    def __init__(self) -> None:
        self._owner = os.getpid()

    def end_orphans(self, known: Collection[int], living: Collection[int]) -> None:
        """Kill the adopted processes of dead workers.

        Args:
            known: Process ids of workers, which are no orphans.
            living: Numbers of the workers that live.
        """
        for pid in children():
            if pid not in known and not self._belongs(pid, living):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)  # a child, so its number is its own until it is reaped

    def _belongs(self, pid: int, living: Collection[int]) -> bool:
        try:
            number = resource.prlimit(pid, _MARK)[0]
        except (OSError, ValueError):
            return True  # not to be told: left alone
        return number < 0 or number >> _SHIFT != self._owner or number & (1 << _SHIFT) - 1 in living
