"""Level rlimits: a process of a user of its own where that can be, with resource limits and nothing else around it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from openenv.sandbox import kernel
from openenv.sandbox.identity import Identity
from openenv.sandbox.job import Job
from openenv.sandbox.program import become, limit_processes, limit_resources, place_descriptors, take_terminal
from openenv.sandbox.running import Prepared, Running, fork

__all__ = ["prepare", "start"]


def prepare(job: Job, identity: Identity) -> int:
    """Make the working directory; a descriptor of it."""
    if identity.privileged:
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        _open_ways(job)
    os.mkdir(job.scratch, 0o711)
    os.mkdir(job.workdir, 0o700)
    if identity.privileged:
        os.chown(job.workdir, identity.uid, identity.uid)
    return os.open(job.workdir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _open_ways(job: Job) -> None:
    """Let another user reach what is to be visible, such as a Python in root's home: cover the closed directory.

    The cover holds nothing but the way; the directory itself stays closed, and uncovered for everybody else.
    """
    closed: dict[str, list[tuple[str, int]]] = {}
    for bind in job.binds:
        for parent in reversed(Path(os.path.realpath(bind.host)).parents):
            if not os.stat(parent).st_mode & 0o001:
                place = os.open(bind.host, os.O_PATH | os.O_CLOEXEC)
                closed.setdefault(str(parent), []).append((os.path.realpath(bind.host), place))
                break
    for parent_path, shown in closed.items():
        kernel.mount("tmpfs", parent_path, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=65536,mode=0755")
        for path, place in shown:
            with suppress(FileExistsError):
                os.makedirs(path)
            kernel.mount(f"/proc/self/fd/{place}", path, flags=kernel.MS_BIND | kernel.MS_REC)
            os.close(place)


def start(prepared: Prepared) -> Running:
    """Start the program."""
    job, identity = prepared.job, prepared.identity
    # Root's processes are not counted, those of another user of this machine are: what runs already comes on top.
    others = 0 if identity.privileged else _processes_of(os.getuid())

    def body() -> NoReturn:
        os.setsid()
        place_descriptors(prepared.received, job.targets)
        if job.terminal:
            take_terminal()
        os.chdir(job.workdir)
        limit_resources(job, memory=not prepared.group.limits_memory)
        limit_processes(job.limits.processes + others)

        def drop() -> None:
            identity.become()
            kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # forgotten with the change of user

        become(job.argv, job.env, drop)

    return Running(fork(body), depth=0)


def _processes_of(uid: int) -> int:
    """How many processes and threads a user has."""
    count = 0
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with suppress(OSError):
                if process.stat().st_uid == uid:
                    count += len(os.listdir(process / "task"))
    return count
