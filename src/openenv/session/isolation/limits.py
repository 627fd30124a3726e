"""What a worker may use, as the kernel keeps it."""

from __future__ import annotations

import ctypes
import math
import os
import resource
from contextlib import suppress

__all__ = ["limit_cpu", "limit_memory", "reserve_nothing"]

_M_ARENA_MAX = -8  # of glibc's malloc.h


def reserve_nothing() -> None:
    """Have the threads that begin from now on share one heap: glibc reserves 64 MB each, as slack beyond a limit."""
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def limit_memory(more_bytes: int) -> None:
    """Let this process have that much address space beyond what it has now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[0])
    _set(resource.RLIMIT_AS, pages * os.sysconf("SC_PAGE_SIZE") + more_bytes)


def limit_cpu(more_s: int) -> None:
    """Let this process use that much more processor time. A second beyond not even a handler of its own helps."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _set(resource.RLIMIT_CPU, math.floor(used.ru_utime + used.ru_stime) + more_s, beyond=1)


def _set(kind: int, most: int, beyond: int = 0) -> None:
    before = resource.getrlimit(kind)[1]
    hard = most + beyond if before == resource.RLIM_INFINITY else min(before, most + beyond)
    resource.setrlimit(kind, (min(most, hard), hard))
