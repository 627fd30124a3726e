"""What a process and all its descendants use, read from /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Usage", "cpu_s", "tree", "usage"]

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What a process tree holds at one moment.

    Attributes:
        memory_mib: Proportional set size: a page that several processes map counts as its share in each.
        threads: Threads of all its processes.
    """

    memory_mib: float
    threads: int


def tree(pid: int) -> list[int]:
    """The process and its descendants that live now."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:  # grows while it is walked
        found += children.get(one, [])
    return found


def cpu_s(pid: int) -> float:
    """Processor seconds, user and system, of the process and its descendants, those that ended included.

    The processor clock of a process counts nanoseconds; ``/proc/<pid>/stat``, where ended children are found, has
    ticks of a hundredth of a second.
    """
    return sum(_cpu_of(one) for one in tree(pid))


def usage(pid: int) -> Usage:
    """Memory and threads of the process and its descendants."""
    processes = tree(pid)
    return Usage(
        memory_mib=sum(_or_gone(_pss_kib, one) for one in processes) / 1024,
        threads=int(sum(_or_gone(_threads, one) for one in processes)),
    )


def _stat(pid: int) -> list[str] | None:
    """The fields of ``/proc/<pid>/stat`` after the name, which may hold spaces: state, parent, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        return None


def _cpu_of(pid: int) -> float:
    fields = _stat(pid)
    if fields is None:
        return 0.0
    ended_children = (int(fields[13]) + int(fields[14])) / _TICKS
    try:
        return time.clock_gettime(_clock_of(pid)) + ended_children
    except OSError:  # it ended meanwhile
        return 0.0


def _clock_of(pid: int) -> int:
    """The id of another process's clock, as clock_getcpuclockid(3) makes it; Python has no name for that."""
    return (~pid << 3) | 2


def _pss_kib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return float(line.split()[1])
    raise OSError(f"/proc/{pid}/smaps_rollup has no Pss")


def _threads(pid: int) -> float:
    return len(os.listdir(f"/proc/{pid}/task"))


def _or_gone(read: Callable[[int], float], pid: int) -> float:
    try:
        return read(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
