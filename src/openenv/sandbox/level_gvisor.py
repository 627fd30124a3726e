"""Level gvisor: runsc answers system calls with a kernel of its own, inside a process namespace of ours."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NoReturn

from openenv.sandbox import kernel
from openenv.sandbox.identity import Identity
from openenv.sandbox.job import Job
from openenv.sandbox.mounts import add_skeleton, enter_private_mounts, mount_work
from openenv.sandbox.program import become, place_descriptors, take_terminal
from openenv.sandbox.running import Prepared, Running, exit_as, fork

__all__ = ["GVISOR_TASKS", "prepare", "start"]

GVISOR_TASKS = 64
"""Threads that gVisor itself may take beside those of the program."""

_INTERRUPT_S = 10.0


def prepare(job: Job, identity: Identity) -> int:
    """Mount the working directory and lay out the bundle; a descriptor of the directory."""
    if not identity.privileged:
        raise PermissionError("runsc needs root")
    enter_private_mounts(identity)
    directory = mount_work(job, identity)
    root = f"{job.scratch}/root"
    add_skeleton(root, job, identity)
    for bind in job.binds:
        if bind.link:
            os.makedirs(os.path.dirname(root + bind.inside), exist_ok=True)
            os.symlink(bind.link, root + bind.inside)
    Path(job.scratch, "config.json").write_text(json.dumps(_specification(job, identity)), encoding="utf-8")
    return directory


def start(prepared: Prepared) -> Running:
    """Start the program."""
    job = prepared.job
    name = f"sandbox-{os.path.basename(job.scratch)}-{os.getpid()}"  # a socket that all of the host share has it too
    kernel.unshare(kernel.CLONE_NEWPID)

    def first() -> NoReturn:
        """The first of runsc's processes: its death takes all others with it."""
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
        exit_as(fork(lambda: _run(prepared, name)))

    leader = fork(first)
    return Running(leader, depth=1, interrupt=lambda: _interrupt(job, name))


def _runsc(job: Job) -> list[str]:
    words = [job.tools["runsc"], f"--root={job.scratch}/state", "--platform=ptrace", "--network=none"]
    return [*words, "--ignore-cgroups"]


def _run(prepared: Prepared, name: str) -> NoReturn:
    os.setsid()
    place_descriptors(prepared.received, prepared.job.targets)
    if prepared.job.terminal:
        take_terminal()
    become([*_runsc(prepared.job), "run", "--bundle", prepared.job.scratch, name], {"PATH": "/usr/sbin:/usr/bin"})


def _interrupt(job: Job, name: str) -> None:
    """Ask gVisor to interrupt: its processes have no number outside."""
    import subprocess  # rarely needed, and a keeper stays small

    command = [*_runsc(job), "kill", name, "INT"]
    subprocess.run(command, env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=_INTERRUPT_S, check=False)


def _specification(job: Job, identity: Identity) -> dict[str, Any]:
    """The bundle's config.json; source: OCI runtime specification 1.0.2."""
    read_only = ["rbind", "ro", "nosuid", "nodev"]
    mounts: list[dict[str, Any]] = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/tmp", "type": "bind", "source": f"{job.scratch}/tmp", "options": ["rbind", "rw"]},  # noqa: S108
        {"destination": job.workdir, "type": "bind", "source": f"{job.scratch}/work", "options": ["rbind", "rw"]},
    ]
    for bind in job.binds:
        if not bind.link:
            mounts.append({"destination": bind.inside, "type": "bind", "source": bind.host, "options": read_only})
    limits = job.limits
    rlimits = {"RLIMIT_NOFILE": limits.open_files, "RLIMIT_NPROC": limits.processes, "RLIMIT_CORE": 0}
    if limits.cpu_s is not None:
        rlimits["RLIMIT_CPU"] = limits.cpu_s
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": job.terminal,
            "user": {"uid": identity.uid, "gid": identity.uid},
            "args": list(job.argv),
            "env": [f"{name}={value}" for name, value in job.env.items()],
            "cwd": job.workdir,
            "capabilities": {},
            "rlimits": [{"type": name, "hard": value, "soft": value} for name, value in rlimits.items()],
            "noNewPrivileges": True,
        },
        "root": {"path": "root", "readonly": True},
        "hostname": "sandbox",
        "mounts": mounts,
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
    }
