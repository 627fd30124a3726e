"""Level namespaces: a root, processes and network of its own made by ourselves, with Landlock and a seccomp filter."""

from __future__ import annotations

import os
import resource
import socket
from contextlib import suppress
from typing import NoReturn

from openenv.sandbox import kernel
from openenv.sandbox.identity import Identity
from openenv.sandbox.job import Job
from openenv.sandbox.landlock import restrict_files
from openenv.sandbox.mounts import DEVICES, enter_private_mounts, mount_work, pivot, populate
from openenv.sandbox.program import become, limit_processes, limit_resources, place_descriptors, take_terminal
from openenv.sandbox.running import Prepared, Running, exit_as, fork
from openenv.sandbox.seccomp import seccomp_program

__all__ = ["prepare", "start"]

_NAMESPACES = (
    kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS | kernel.CLONE_NEWCGROUP
)


def prepare(job: Job, identity: Identity) -> int:
    """Mount the working directory; a descriptor of it."""
    enter_private_mounts(identity)
    return mount_work(job, identity)


def start(prepared: Prepared) -> Running:
    """Start the program.

    Raises:
        OSError: Its surroundings could not be made.
    """
    filtered = seccomp_program(os.uname().machine)
    report, reporting = os.pipe()
    kernel.unshare(kernel.CLONE_NEWPID)

    def first() -> NoReturn:
        """The first process of the sandbox: it makes the surroundings, starts the program and buries the dead."""
        try:
            kernel.unshare(_NAMESPACES)
            _surround(prepared)
            program = fork(lambda: _program(prepared, filtered))
        except OSError as error:
            os.write(reporting, str(error).encode(errors="replace") or b"?")
            os._exit(1)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        kernel.drop_capabilities()
        os.closerange(0, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        exit_as(program)

    try:
        leader = fork(first)
    finally:
        os.close(reporting)
    with open(report, "rb") as file:
        failure = file.read()  # its end comes when the first process closes everything
    if failure:
        os.waitpid(leader, 0)
        raise OSError(failure.decode(errors="replace"))
    return Running(leader, depth=1)


def _surround(prepared: Prepared) -> None:
    root = populate(prepared.job, prepared.identity)
    pivot(root)
    socket.sethostname("sandbox")
    with suppress(OSError):
        kernel.loopback_up()


def _program(prepared: Prepared, filtered: bytes) -> NoReturn:
    job = prepared.job
    os.setsid()
    place_descriptors(prepared.received, job.targets)
    if job.terminal:
        take_terminal()
    os.chdir(job.workdir)
    limit_resources(job, memory=not prepared.group.limits_memory)

    def close_the_doors() -> None:
        restrict = (job.workdir, "/tmp", "/dev/shm", "/dev/pts")  # noqa: S108 - its own, inside
        prepared.identity.become()
        # The first process counts too where its user is the program's.
        limit_processes(job.limits.processes + (0 if prepared.identity.privileged else 1))
        restrict_files(restrict, [f"/dev/{name}" for name in DEVICES])
        kernel.load_seccomp(filtered)

    become(job.argv, job.env, close_the_doors)
