"""Runs inside a sandbox and tries to break each guarantee; says which held on standard error, a line each.

It imports nothing of this package: it is copied into the sandbox alone.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_AT_FDCWD, _AT_NO_AUTOMOUNT, _STATX_BASIC = -100, 0x800, 0x7FF  # linux/fcntl.h, linux/stat.h


def flaw() -> str:
    """What ordinary programs cannot do here, in one line; empty where they can do all that was tried."""
    statx = getattr(ctypes.CDLL(None), "statx", None)
    if statx is not None and statx(_AT_FDCWD, b".", _AT_NO_AUTOMOUNT, _STATX_BASIC, ctypes.create_string_buffer(256)):
        return "ls fails on directories: statx knows no AT_NO_AUTOMOUNT, with which GNU coreutils 9 call it"
    return ""


def no_network(task: dict[str, Any]) -> bool:
    """No connection to the host's loopback."""
    with socket.socket() as client:
        client.settimeout(2)
        try:
            client.connect(("127.0.0.1", task["port"]))
        except OSError:
            return True
    return False


def no_host_files(task: dict[str, Any]) -> bool:
    """No look at a file of the host that everybody there may read, and no writing outside."""
    for path, mode in ((task["secret"], "r"), ("/etc/shadow", "r"), ("/usr/openenv-was-here", "w")):
        with suppress(OSError), open(path, mode):
            return False
    return True


def no_new_privileges(task: dict[str, Any]) -> bool:
    """No root, no capability, and no way to get one."""
    if os.getuid() == 0 or os.geteuid() == 0:
        return False
    with suppress(OSError):
        os.setuid(0)
        return False
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    # gVisor does not tell about the promise, and keeps it.
    return status.get("NoNewPrivs", "1") == "1" and int(status.get("CapPrm", "0"), 16) == 0


def _in_child(body: Callable[[], None]) -> bool:
    """Whether the body ran to its end, rather than failed or was killed."""
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            body()
            os._exit(0)
        os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def memory(task: dict[str, Any]) -> bool:
    """Twice the limit is not to be had."""

    def take() -> None:
        taken = bytearray(2 * task["memory_bytes"])
        taken[:: os.sysconf("SC_PAGESIZE")] = b"x" * len(taken[:: os.sysconf("SC_PAGESIZE")])

    return not _in_child(take)


def processes(task: dict[str, Any]) -> bool:
    """Twice as many processes are not to be had."""
    reading, writing = os.pipe()
    started = []
    try:
        for _ in range(2 * task["processes"]):
            pid = os.fork()
            if pid == 0:
                os.close(writing)
                os.read(reading, 1)  # until the parent closes its end
                os._exit(0)
            started.append(pid)
    except OSError:
        return bool(len(started) < task["processes"])
    finally:
        os.close(writing)
        for pid in started:
            os.waitpid(pid, 0)
        os.close(reading)
    return False


def disk(task: dict[str, Any]) -> bool:
    """Twice the size is not to be stored."""
    try:
        with open("filling", "wb", buffering=0) as file:
            left = 2 * task["disk_bytes"]
            while left > 0:
                left -= file.write(b"x" * 65536)
    except OSError:
        return True
    finally:
        with suppress(OSError):
            os.unlink("filling")
    return False


def main() -> None:
    """Try everything from the trial on that the task names; the hardest on the machine last."""
    with open("task.json", encoding="ascii") as file:
        task = json.load(file)
    print(json.dumps({"flaw": flaw()}), file=sys.stderr, flush=True)
    trials = (no_network, no_host_files, no_new_privileges, disk, processes, memory)
    for trial in trials[task["first"] :]:
        print(json.dumps({"trial": trial.__name__, "yes": trial(task)}), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
