"""A worker: one process that serves the sessions whose sockets it is given, each on a thread of its own."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import msgspec

from openenv.session.isolation.boot import command, die_with
from openenv.session.isolation.limits import limit_cpu, limit_memory, reserve_nothing
from openenv.session.isolation.offspring import mark
from openenv.session.isolation.orders import Limits, Prepare, receive_fd
from openenv.session.isolation.serving import serve_session
from openenv.session.served.spec import EnvironmentSpec

__all__ = ["begin", "command_of", "main", "work"]

log = logging.getLogger("openenv.session")


def begin(server: int, number: int) -> None:
    """Make this process worker ``number`` of its parent, the fork server with that process id; it dies with it."""
    os.setsid()  # a group of its own, so that what it starts can be ended with it; and no Ctrl-C from a terminal
    die_with(server, signal.SIGKILL)
    mark(server, number)


def work(control: socket.socket, spec: EnvironmentSpec, limits: Limits) -> NoReturn:
    """Serve a session for every socket that comes, until the other end is closed."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # what is printed is seen even if it dies
    worker = _Worker(control, spec, limits)
    os.register_at_fork(after_in_child=worker.let_go)
    try:
        worker.run()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - nothing may run on into the code this process was forked from
        traceback.print_exc()
        os._exit(1)
    os._exit(0)  # threads of environments are not waited for


class _Worker:
    def __init__(self, control: socket.socket, spec: EnvironmentSpec, limits: Limits) -> None:
        self._control = control
        self._spec = spec
        self._limits = limits
        self._sessions: set[socket.socket] = set()
        self._limited = threading.Lock()

    def run(self) -> None:
        if self._limits.cpu_s is not None:
            limit_cpu(self._limits.cpu_s)
        if self._limits.memory_bytes is not None:
            reserve_nothing()
        while True:
            word, descriptor = receive_fd(self._control)
            if not word:
                return
            if descriptor is not None:
                way = socket.socket(fileno=descriptor)
                self._sessions.add(way)
                threading.Thread(target=self._serve, args=(way,), name=self._spec.name, daemon=True).start()

    def let_go(self) -> None:
        """In a process that an environment forked: it must not hold the ends of sessions that are not its own."""
        for way in (self._control, *self._sessions):
            with suppress(OSError):
                way.close()

    def _serve(self, way: socket.socket) -> None:
        # not before: the stack of this thread is no use of the environment's
        if self._limits.memory_bytes is not None and self._limited.acquire(blocking=False):
            limit_memory(self._limits.memory_bytes)
        try:
            serve_session(way, self._spec)
        except BaseException:  # the last place that can tell
            log.exception("a session of %s failed", self._spec.name)
        finally:
            self._sessions.discard(way)
            way.close()


def command_of(descriptor: int, server: int, number: int, told: int) -> list[str]:
    """The command that starts a worker without forking: its end of its control socket, then as in ``begin``, and the
    descriptor of ``told_privately``."""
    return command(__name__, str(descriptor), str(server), str(number), str(told))


@contextmanager
def told_privately(prepare: Prepare) -> Iterator[int]:
    """A descriptor, for a process that is started now, from which it reads what to do: others can read its command."""
    descriptor = os.memfd_create("openenv", 0)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(msgspec.json.encode(prepare))
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def main() -> NoReturn:
    """Run a worker that was started without forking."""
    descriptor, server, number = map(int, sys.argv[1:4])
    begin(server, number)
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    with open(int(sys.argv[4]), "rb") as file:
        prepare = msgspec.json.decode(file.read(), type=Prepare)
    try:
        spec = prepare.load()
    except BaseException:  # noqa: BLE001 - whatever the author's module raises, also sys.exit
        traceback.print_exc()
        os._exit(1)
    work(control, spec, prepare.limits)
