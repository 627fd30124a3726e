"""The last steps of a child before it becomes another program."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import sys
import termios
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from openenv.sandbox.job import Job

__all__ = ["NOT_FOUND", "become", "limit_processes", "limit_resources", "place_descriptors", "take_terminal"]

NOT_FOUND = 127
"""Exit code of a program that could not be started, as in a shell."""


def place_descriptors(received: Sequence[int], targets: Sequence[int], extra: Sequence[int] = ()) -> list[int]:
    """Give the received descriptors their numbers and close every other one.

    Args:
        received: Descriptors of this process.
        targets: The number each of them is to have.
        extra: Descriptors to keep under whatever number.

    Returns:
        The new numbers of ``extra``, above all targets.
    """
    floor = max([*targets, *received, *extra, 2]) + 1
    lifted = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, floor) for descriptor in received]
    kept = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, floor) for descriptor in extra]
    for descriptor, target in zip(lifted, targets, strict=True):
        os.dup2(descriptor, target)
    lowest = 0
    for descriptor in sorted([*targets, *kept]):
        if lowest < descriptor:  # an empty range that begins at 0 would close everything
            os.closerange(lowest, descriptor)
        lowest = descriptor + 1
    os.closerange(lowest, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return kept


def take_terminal() -> None:
    """Make the terminal on standard input that of this process, which leads a session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def limit_resources(job: Job, *, memory: bool) -> None:
    """Set the limits that the kernel keeps for each process.

    Args:
        job: Holds the limits.
        memory: Whether address space is limited too, because nothing else counts memory.
    """
    limits = job.limits
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, limits.open_files)
    if memory:
        _lower(resource.RLIMIT_AS, limits.memory_bytes)
    if limits.cpu_s is not None:
        _lower(resource.RLIMIT_CPU, limits.cpu_s)


def limit_processes(count: int) -> None:
    """Limit the processes of this process's user; nothing to root."""
    _lower(resource.RLIMIT_NPROC, count)


def become(argv: Sequence[str], env: dict[str, str], before: Callable[[], None] | None = None) -> NoReturn:
    """Become the program, with the signals of a fresh process; if it cannot be started, exit as a shell does.

    Args:
        argv: The program, looked for in the ``PATH`` of ``env``, and its arguments.
        env: Its environment.
        before: What is done last of all.
    """
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("500")  # it goes before anything of the host does
    os.umask(0o022)
    if before is not None:
        before()
    try:
        os.execvpe(argv[0], list(argv), env)  # noqa: S606 - no shell is wanted
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        os.write(2, f"{argv[0]}: {said}\n".encode(errors="replace"))
    sys.stderr.flush()
    os._exit(NOT_FOUND)


def _lower(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (ceiling, ceiling))
