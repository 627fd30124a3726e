"""The keeper: a small process beside its owner that starts sandboxes by forking, which a threaded owner must not do.

It ends, and everything in its sandboxes with it, when its owner does, in whatever way. One supervisor is always
forked in advance: a process that joins a control group of version 1 waits for the kernel, up to 10 ms.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
from contextlib import suppress

from openenv.sandbox import kernel
from openenv.sandbox.cgroups import Hierarchies, group_name, remove_abandoned, remove_group
from openenv.sandbox.supervisor import receive, supervise

__all__ = ["main"]

# While a process joins a group the kernel lets none fork, on the whole machine: not while a program starts.
_QUIET_MS = 40


def main() -> None:
    """Serve the owner: arguments are the descriptor of the socket to it and the directory for sandboxes' mounts."""
    owner = socket.socket(fileno=int(sys.argv[1]))
    owner.set_inheritable(False)
    # A collection would touch, and so copy, every page that forks share; nothing here makes cycles that matter.
    gc.disable()
    gc.freeze()
    _Keeper(owner).run()
    with suppress(OSError):
        os.rmdir(sys.argv[2])


class _Keeper:
    def __init__(self, owner: socket.socket) -> None:
        self._owner = owner
        self._hierarchies = Hierarchies.of_this_process()
        self._groups: dict[int, str] = {}  # of supervisors that live
        self._left: set[str] = set()  # of those that do not, still to be removed
        self._wake, waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def run(self) -> None:
        """Start supervisors until the owner is gone, then end them all."""
        remove_abandoned(self._hierarchies)
        spare: socket.socket | None = self._fork()
        self._owner.send(b"ready")
        poller = select.poll()
        poller.register(self._owner, select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poller.poll(None if spare else _QUIET_MS)}
            if not ready:
                spare = self._fork()
            if self._wake in ready:
                os.read(self._wake, 4096)
                self._bury(os.WNOHANG)
            if self._owner.fileno() not in ready:
                continue
            received = receive(self._owner)
            if not received:
                break
            self._hand_over(received, spare)
            spare = None
        if spare is not None:
            spare.close()
        for pid in self._groups:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        while self._groups:
            self._bury(0)
        remove_abandoned(self._hierarchies)

    def _hand_over(self, received: list[int], spare: socket.socket | None) -> None:
        """Give a job to the spare supervisor, or to another should there be none or it be gone."""
        way = spare or self._fork()
        try:
            socket.send_fds(way, [b"job"], received)
        except OSError:
            way.close()
            way = self._fork()
            socket.send_fds(way, [b"job"], received)
        finally:
            for descriptor in received:
                os.close(descriptor)
        way.close()

    def _fork(self) -> socket.socket:
        """Fork a supervisor; the way to it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._owner.close()
            ours.close()
            signal.set_wakeup_fd(-1)
            kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)
            supervise(theirs, self._hierarchies)
        theirs.close()
        self._groups[pid] = group_name(pid)
        return ours

    def _bury(self, options: int) -> None:
        """Take note of supervisors that ended, and remove what a group is left of them."""
        with suppress(ChildProcessError):
            while True:
                pid, _ = os.waitpid(-1, options)
                if pid == 0:
                    break
                self._left.add(self._groups.pop(pid))
                if options == 0:
                    break
        self._left = {name for name in self._left if not remove_group(self._hierarchies, name)}


if __name__ == "__main__":
    main()
