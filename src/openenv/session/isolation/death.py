"""How a worker died, in words."""

from __future__ import annotations

import signal

from openenv.session.isolation.orders import Ended, Limits

__all__ = ["OVER_MEMORY", "WorkerDied", "told"]

OVER_MEMORY = 97
"""Exit code of a worker that has not enough memory left to answer."""


_OF_ALLOCATIONS = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGTRAP)
"""What code in other languages often dies of when an allocation fails."""


class WorkerDied(Exception):
    """The process that an environment lived in is gone. Never leaves the server: whoever holds the session maps it.

    Its text says how it died, such as ``its process was killed by SIGSEGV``.
    """


def told(ended: Ended, limits: Limits, asked: str | None) -> str:
    """How a worker died, as the end of a sentence about its environment.

    Args:
        ended: What the fork server saw.
        limits: What the worker was allowed.
        asked: Why this process had it killed, if it did.
    """
    by, cpu_s, memory = ended.signal, limits.cpu_s, limits.memory_bytes
    if ended.not_started is not None:
        return f"no process could be started for it: {ended.not_started}"
    if by == signal.SIGXCPU and cpu_s is not None:
        return f"its process was killed: over its CPU limit of {cpu_s} s"
    if by == signal.SIGKILL and asked is not None:
        return asked
    if by == signal.SIGKILL and cpu_s is not None and ended.cpu_s >= cpu_s:
        return f"its process was killed: over its CPU limit of {cpu_s} s"
    if by in _OF_ALLOCATIONS and memory is not None:
        how = "as libraries do that run over a memory limit: it has"
        return f"its process was killed by {_name(by)}, {how} {memory} bytes"
    if by:
        return f"its process was killed by {_name(by)}"
    if ended.exit_code == OVER_MEMORY and memory is not None:
        return f"its process ran over its memory limit of {memory} bytes"
    return f"its process ended with exit code {ended.exit_code} (os._exit)"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # those without a name, for real-time use
        return f"signal {number}"
