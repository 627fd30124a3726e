"""What the supervisor of a sandbox holds of the processes in it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from openenv.sandbox import kernel
from openenv.sandbox.cgroups import ControlGroup
from openenv.sandbox.identity import Identity
from openenv.sandbox.job import Job

__all__ = ["Prepared", "Running", "children_of", "exit_as", "fork", "shell_code"]


@dataclass(frozen=True)
class Prepared:
    """Everything a level needs to start its program.

    Attributes:
        job: What to start.
        received: The descriptors that came with it, in the order of ``job.targets``.
        identity: Whose rights the program has.
        group: Its control groups.
    """

    job: Job
    received: Sequence[int]
    identity: Identity
    group: ControlGroup


@dataclass(frozen=True)
class Running:
    """A started sandbox.

    Attributes:
        leader: Child of the supervisor whose end is the sandbox's end.
        depth: How many generations below the leader the program is.
        interrupt: Interrupts the program where no signal of the host reaches it; ``None`` where one does.
    """

    leader: int
    depth: int
    interrupt: Callable[[], None] | None = None

    def program(self) -> int | None:
        """The program's process id on the host, or ``None`` if it is not there (any more)."""
        pid = self.leader
        for _ in range(self.depth):
            children = children_of(pid)
            if not children:
                return None
            pid = children[0]
        return pid

    def send_interrupt(self) -> None:
        """Send SIGINT to the foreground of the program's terminal, or to its process group where it has none."""
        if self.interrupt is not None:
            self.interrupt()
            return
        pid = self.program()
        if pid is None:
            return
        with suppress(OSError, ValueError):  # it ends meanwhile
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            group, foreground = int(fields[2]), int(fields[5])
            os.killpg(foreground if foreground > 1 else group, signal.SIGINT)


def children_of(pid: int) -> list[int]:
    """Process ids of a process's children."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += [int(child) for child in (task / "children").read_text(encoding="ascii").split()]
    return found


def fork(body: Callable[[], NoReturn]) -> int:
    """Run ``body`` in a child that dies with this process, which has one thread only; its process id."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() not in (parent, 0):  # 0: the parent is outside this process namespace
            os._exit(1)
        body()
    except BaseException as error:  # noqa: BLE001 - a child must never return into its parent's code
        os.write(2, f"sandbox: {error}\n".encode(errors="replace"))
    finally:
        os._exit(1)


def shell_code(status: int) -> int:
    """A status of waitpid as a shell's exit code."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def exit_as(pid: int) -> NoReturn:
    """Wait for ``pid`` and every orphan before it, then exit as it did."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            os._exit(shell_code(status))
