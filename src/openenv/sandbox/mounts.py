"""The file system that a sandboxed program sees, made of mounts that nobody else sees."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from openenv.sandbox import kernel
from openenv.sandbox.identity import Identity
from openenv.sandbox.job import Bind, Job

__all__ = ["DEVICES", "add_skeleton", "enter_private_mounts", "mount_work", "pivot", "populate", "show"]

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_PLAIN = kernel.MS_NOSUID | kernel.MS_NODEV
_SKELETON_BYTES = 1024 * 1024


def enter_private_mounts(identity: Identity) -> None:
    """Enter a mount namespace of this process's own, from which nothing spreads."""
    if identity.privileged:
        kernel.unshare(kernel.CLONE_NEWNS)
    else:
        identity.enter_user_namespace()
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)


def mount_work(job: Job, identity: Identity) -> int:
    """Mount the directories that the program may write to; they vanish with the namespace.

    Returns:
        A descriptor of the working directory, ``scratch/work``; the temporary one is ``scratch/tmp``.
    """
    kernel.mount("tmpfs", job.scratch, "tmpfs", _PLAIN, f"size={_SKELETON_BYTES},mode=0755")
    inodes = job.limits.disk_bytes // 4096 + 256  # empty files take memory too
    for name, mode in (("work", "0755"), ("tmp", "1777")):
        place = f"{job.scratch}/{name}"
        os.mkdir(place)
        data = f"size={job.limits.disk_bytes},nr_inodes={inodes},mode={mode},uid={identity.uid},gid={identity.uid}"
        kernel.mount("tmpfs", place, "tmpfs", _PLAIN, data)
    os.mkdir(f"{job.scratch}/root")
    return os.open(f"{job.scratch}/work", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def add_skeleton(root: str, job: Job, identity: Identity) -> None:
    """The directories of a root, and the few files that programs ask for who they are."""
    for name in ("dev", "etc", "proc", "tmp", job.workdir.lstrip("/")):
        os.makedirs(f"{root}/{name}", exist_ok=True)
    uid = identity.uid
    files = {
        "passwd": f"root:x:0:0:root:/:/usr/sbin/nologin\nagent:x:{uid}:{uid}:agent:{job.workdir}:/bin/sh\n",
        "group": f"root:x:0:\nagent:x:{uid}:\n",
        "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    }
    for name, content in files.items():
        Path(root, "etc", name).write_text(content, encoding="ascii")


def show(root: str, bind: Bind) -> None:
    """Show one path of the host beneath ``root``."""
    target = root + bind.inside
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if bind.link:
        os.symlink(bind.link, target)
        return
    if os.path.isdir(bind.host):
        os.makedirs(target, exist_ok=True)
    else:
        with suppress(FileExistsError):
            os.mknod(target)
    kernel.mount(bind.host, target, flags=kernel.MS_BIND | kernel.MS_REC)
    kernel.make_read_only(target)


def populate(job: Job, identity: Identity) -> str:
    """Make the whole root beneath ``scratch/root``; its path."""
    root = f"{job.scratch}/root"
    kernel.mount("tmpfs", root, "tmpfs", _PLAIN, f"size={_SKELETON_BYTES},mode=0755")
    add_skeleton(root, job, identity)
    kernel.mount(f"{job.scratch}/work", root + job.workdir, flags=kernel.MS_BIND)
    kernel.mount(f"{job.scratch}/tmp", f"{root}/tmp", flags=kernel.MS_BIND)  # noqa: S108 - inside
    kernel.mount("proc", f"{root}/proc", "proc", _PLAIN | kernel.MS_NOEXEC)
    for name in DEVICES:
        os.mknod(f"{root}/dev/{name}")
        kernel.mount(f"/dev/{name}", f"{root}/dev/{name}", flags=kernel.MS_BIND)
    os.mkdir(f"{root}/dev/pts")
    kernel.mount(
        "devpts", f"{root}/dev/pts", "devpts", kernel.MS_NOSUID | kernel.MS_NOEXEC, "newinstance,ptmxmode=0666"
    )
    os.mkdir(f"{root}/dev/shm")  # noqa: S108 - inside
    kernel.mount(f"{job.scratch}/tmp", f"{root}/dev/shm", flags=kernel.MS_BIND)  # noqa: S108 - inside
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
    for name, link in links.items():
        os.symlink(link, f"{root}/dev/{name}")
    for bind in job.binds:
        show(root, bind)
    return root


def pivot(root: str) -> None:
    """Make ``root``, a mount, the root of this process and forget the old one."""
    old = ".host"
    os.mkdir(f"{root}/{old}")
    kernel.pivot_root(root, f"{root}/{old}")
    os.chdir("/")
    kernel.unmount(f"/{old}", kernel.MNT_DETACH)
    os.rmdir(f"/{old}")
    kernel.mount("none", "/", flags=kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | _PLAIN)
