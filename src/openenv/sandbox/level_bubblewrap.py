"""Level bubblewrap: the system's bwrap makes the walls; our seccomp filter and limits are added."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import NoReturn

from openenv.sandbox.identity import Identity
from openenv.sandbox.job import Bind, Job
from openenv.sandbox.mounts import add_skeleton, enter_private_mounts, mount_work, show
from openenv.sandbox.program import become, limit_processes, limit_resources, place_descriptors
from openenv.sandbox.running import Prepared, Running, fork
from openenv.sandbox.seccomp import seccomp_program

__all__ = ["prepare", "start"]


def prepare(job: Job, identity: Identity) -> int:
    """Mount the working directory; a descriptor of it."""
    enter_private_mounts(identity)
    directory = mount_work(job, identity)
    root = f"{job.scratch}/root"
    add_skeleton(root, job, identity)
    for bind in job.binds:  # bwrap reads all of the host's mounts for each that it makes: leave few to it
        if bind.inside.startswith("/etc/"):
            show(root, bind)
    return directory


def start(prepared: Prepared) -> Running:
    """Start the program."""
    job = prepared.job
    filtered = _in_memory("seccomp", seccomp_program(os.uname().machine))

    def body() -> NoReturn:
        os.setsid()
        arguments = _in_memory("arguments", b"")
        filter_fd, arguments_fd = place_descriptors(prepared.received, job.targets, [filtered, arguments])
        words = [*_arguments(job, prepared.identity), "--seccomp", str(filter_fd)]
        os.write(arguments_fd, b"\0".join(os.fsencode(word) for word in words) + b"\0")
        os.lseek(arguments_fd, 0, os.SEEK_SET)
        if prepared.identity.privileged:  # nothing to root, and inherited by the user it becomes
            limit_processes(job.limits.processes)
        limit_resources(job, memory=not prepared.group.limits_memory)
        # Out of sight of the host's list of processes: the arguments, which hold the environment.
        become([job.tools["bwrap"], "--args", str(arguments_fd), "--", *_inside(job, prepared.identity)], {})

    try:
        return Running(fork(body), depth=2)
    finally:
        os.close(filtered)


def _arguments(job: Job, identity: Identity) -> list[str]:
    scratch = job.scratch
    words = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--hostname", "sandbox", "--die-with-parent", "--cap-drop", "ALL", "--clearenv", "--chdir", job.workdir]
    if not identity.privileged:
        words += ["--unshare-user", "--uid", str(identity.uid), "--gid", str(identity.uid)]
    else:  # for the tool inside that becomes the sandbox's own user, and drops them
        words += [word for name in ("SETUID", "SETGID", "SETPCAP") for word in ("--cap-add", f"CAP_{name}")]
    if not job.terminal:
        words.append("--new-session")
    for name, value in job.env.items():
        words += ["--setenv", name, value]
    inside = [job.workdir, *(bind.inside for bind in _rest(job))]
    parents = {str(parent) for path in inside for parent in PurePosixPath(path).parents} - {"/", "/tmp", "/etc"}  # noqa: S108
    # made here because bwrap itself would make them for root alone; below /tmp once that is there
    early = [parent for parent in sorted(parents) if not parent.startswith("/tmp/")]  # noqa: S108 - inside
    words += [word for parent in early for word in ("--perms", "0755", "--dir", parent)]
    words += ["--ro-bind", f"{scratch}/root/etc", "/etc"]
    words += ["--proc", "/proc", "--dev", "/dev", "--bind", f"{scratch}/tmp", "/tmp"]  # noqa: S108 - inside
    words += [word for parent in sorted(parents - {*early}) for word in ("--perms", "0755", "--dir", parent)]
    words += ["--bind", f"{scratch}/tmp", "/dev/shm", "--bind", f"{scratch}/work", job.workdir]  # noqa: S108
    for bind in _rest(job):
        words += ["--symlink", bind.link, bind.inside] if bind.link else ["--ro-bind", bind.host, bind.inside]
    return [*words, "--remount-ro", "/"]


def _rest(job: Job) -> list[Bind]:
    return [bind for bind in job.binds if not bind.inside.startswith("/etc/")]


def _inside(job: Job, identity: Identity) -> list[str]:
    """The program, behind small tools that set what bwrap cannot."""
    if identity.privileged:
        uid = str(identity.uid)
        words = [job.tools["setpriv"], "--reuid", uid, "--regid", uid, "--clear-groups"]
        words += ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs", "--"]
    else:  # bwrap's first process is of the same user and counts as well
        count = job.limits.processes + 1
        words = [job.tools["prlimit"], f"--nproc={count}:{count}", "--"]
    if job.terminal:
        words += [job.tools["setsid"], "--ctty"]
    return [*words, *job.argv]


def _in_memory(name: str, content: bytes) -> int:
    descriptor = os.memfd_create(name)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
