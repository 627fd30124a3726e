"""Which processes live: those this one started, and whether one of them has ended."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DEADLINE_S = 30.0
"""How long something that must happen is waited for; nothing takes so long unless it is broken."""


class Watched:
    """A process, whoever started it, that cannot be mistaken for a later one with the same number."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd = os.pidfd_open(pid)

    def ends(self) -> bool:
        """Wait for its end; False if it does not come."""
        return self._ended_within(DEADLINE_S)

    def lives(self) -> bool:
        return not self._ended_within(0)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._fd, signal.SIGKILL)

    def release(self) -> None:
        os.close(self._fd)

    def _ended_within(self, seconds: float) -> bool:
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        return bool(poller.poll(seconds * 1000))


@contextmanager
def watching(pid: int) -> Iterator[Watched]:
    """Watch a process; it is killed at the end should it still live."""
    watched = Watched(pid)
    try:
        yield watched
    finally:
        watched.kill()
        watched.release()


@contextmanager
def running(code: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A Python program with pipes to its input and from its output; it is killed at the end should it still live."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that it prints and that is not empty; fails if it ends instead."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip():
            return line.strip()
    raise AssertionError("it ended without a word")


def children() -> set[int]:
    """Process ids of the processes that this one started and that have not been waited for."""
    return {
        int(pid)
        for listed in Path("/proc/self/task").glob("*/children")
        for pid in listed.read_text(encoding="ascii").split()
    }
