"""One sandbox's supervisor: starts it, passes words on, and leaves nothing of it behind."""

from __future__ import annotations

import array
import json
import os
import select
import shutil
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from openenv.sandbox import kernel, level_bubblewrap, level_gvisor, level_namespaces, level_rlimits
from openenv.sandbox.cgroups import ControlGroup, Hierarchies, group_name
from openenv.sandbox.identity import Identity
from openenv.sandbox.job import Job
from openenv.sandbox.levels import Level
from openenv.sandbox.running import Prepared, Running, children_of, shell_code

__all__ = ["MAX_DESCRIPTORS", "receive", "supervise"]

MAX_DESCRIPTORS = 200
"""How many descriptors may come with a job, itself and its control socket included; the kernel takes 253."""


_LEVELS = {
    Level.RLIMITS: level_rlimits,
    Level.NAMESPACES: level_namespaces,
    Level.BUBBLEWRAP: level_bubblewrap,
    Level.GVISOR: level_gvisor,
}
# What each level itself has running in the group: the supervisor; our first process; bwrap and its first; gVisor.
_OWN_TASKS = {
    Level.RLIMITS: 1,
    Level.NAMESPACES: 2,
    Level.BUBBLEWRAP: 3,
    Level.GVISOR: level_gvisor.GVISOR_TASKS,
}
_KILLED = 137


def supervise(jobs: socket.socket, hierarchies: Hierarchies) -> NoReturn:
    """Wait for one job, with everything ready that does not depend on it, start it, and stay until nothing is left.

    The owner is told ``{"uid"}`` with a descriptor of the working directory, then says ``go``; it is told ``{"pid"}``
    or ``{"failed"}``, and at the end ``{"exit_code", "out_of_memory"}``. It may say ``interrupt`` and ``kill``;
    silence is ``kill``.
    """
    control: socket.socket | None = None
    try:
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        group = ControlGroup(hierarchies, group_name(os.getpid()))
        group.join()
        identity = Identity.claimed()
        received = receive(jobs)
        jobs.close()
        if not received:
            os._exit(0)
        job_fd, control_fd, *descriptors = received
        control = socket.socket(fileno=control_fd)
        with open(job_fd, "rb") as file:
            job = Job.decode(file.read())
        _Supervisor(job, control, descriptors, group, identity).run()
    except Exception as error:  # noqa: BLE001 - the last place that can tell the owner
        if control is not None:
            with suppress(OSError):
                control.send(json.dumps({"failed": str(error) or repr(error)}).encode())
    finally:
        os._exit(0)


def receive(way: socket.socket) -> list[int]:
    """The descriptors of the next job: itself, its control socket, the program's; none at the end of the way."""
    descriptors = array.array("i")
    try:
        message, ancillary, _, _ = way.recvmsg(16, socket.CMSG_SPACE(MAX_DESCRIPTORS * descriptors.itemsize))
    except OSError:
        return []
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return list(descriptors) if message else []


class _Supervisor:
    def __init__(
        self,
        job: Job,
        control: socket.socket,
        received: Sequence[int],
        group: ControlGroup,
        identity: Identity,
    ) -> None:
        self._job = job
        self._control = control
        self._received = received
        self._group = group
        self._identity = identity
        self._wake, waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        self._told_to_end = False
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: object) -> None:
        if number == signal.SIGTERM:
            self._told_to_end = True

    def run(self) -> None:
        """From the job to its end."""
        group, identity = self._group, self._identity
        level = _LEVELS[self._job.level]
        limits = self._job.limits
        group.limit(limits.memory_bytes, limits.processes + _OWN_TASKS[self._job.level])
        try:
            directory = level.prepare(self._job, identity)
            kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGTERM)  # forgotten with the change of user namespace
            ready = json.dumps({"uid": identity.owner}).encode()
            socket.send_fds(self._control, [ready], [directory])
            os.close(directory)
            if self._control.recv(16) != b"go":
                return
            running = level.start(Prepared(self._job, self._received, identity, group))
            for descriptor in self._received:
                os.close(descriptor)
            self._control.send(json.dumps({"pid": running.leader}).encode())
            code = self._watch(running)
            out_of_memory = group.out_of_memory()
        finally:
            self._clear(group, identity)
        with suppress(OSError):  # the owner may be gone
            self._control.send(json.dumps({"exit_code": code, "out_of_memory": out_of_memory}).encode())

    def _watch(self, running: Running) -> int:
        """Pass words on until the leader ends; its exit code."""
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        killed = False
        while True:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == running.leader:
                    return _KILLED if killed else shell_code(status)
                if pid == 0:
                    break
            ready = {descriptor for descriptor, _ in poller.poll()}
            if self._wake in ready:
                os.read(self._wake, 4096)
            kill = self._told_to_end
            if self._control.fileno() in ready:
                word = self._word()
                if word == b"interrupt":
                    running.send_interrupt()
                kill = kill or word in (b"", b"kill")
            if kill and not killed:
                killed = True
                os.kill(running.leader, signal.SIGKILL)  # not reaped yet, so the number is still its own
                if not self._told_to_end:
                    poller.unregister(self._control)

    def _word(self) -> bytes:
        try:
            return self._control.recv(16)
        except OSError:
            return b""

    def _clear(self, group: ControlGroup, identity: Identity) -> None:
        """End every process that is left, then remove what they lived in."""
        group.forbid_more()
        while True:
            for pid in group.processes() | _descendants(os.getpid()):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                if not group.processes():
                    break
        if self._job.level is Level.RLIMITS:
            shutil.rmtree(self._job.scratch, ignore_errors=True)


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        children = [child for child in children_of(waiting.pop()) if child not in found]
        found.update(children)
        waiting += children
    return found
