"""The fork server: a process that has imported what is served once, and from which workers are forked in milliseconds.

It sees to it that nothing of a worker outlives it, and none of the workers the fork server or the server.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import traceback
import warnings
from contextlib import suppress
from typing import Any

from openenv.errors import ConfigurationError, OpenEnvError
from openenv.sandbox import kernel
from openenv.session.isolation.boot import die_with
from openenv.session.isolation.offspring import Offspring, children, kill_group
from openenv.session.isolation.orders import Ended, Kill, Order, Prepare, Ready, Refused, Start, receive, send
from openenv.session.isolation.worker import begin, command_of, told_privately, work
from openenv.session.served.outcome import told
from openenv.session.served.spec import EnvironmentSpec
from openenv.settings import inherited

__all__ = ["main"]

_OWN_SIGNALS = (signal.SIGCHLD, signal.SIGTERM)
_GENERATORS = {"numpy.random": "seed", "torch": "seed"}
"""Modules with random numbers of their own for the whole process, and what seeds them anew. Python's own does so."""


def main() -> None:
    """Serve the server: arguments are the descriptor of the socket to it and its process id."""
    server = socket.socket(fileno=int(sys.argv[1]))
    server.set_inheritable(False)
    die_with(int(sys.argv[2]), signal.SIGTERM)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    order, _ = receive(server)
    if not isinstance(order, Prepare):
        return
    try:
        spec = _loaded(order)
    except OpenEnvError as error:
        with suppress(OSError):
            send(server, Refused(error.code, error.message, error.details))
        return
    gc.collect()
    gc.freeze()  # a collection would touch, and so copy, every page that forks share
    _Zygote(server, order, spec).run()
    os._exit(0)  # threads of the module's are not waited for, and what it registered for the end is the server's


def _loaded(prepare: Prepare) -> EnvironmentSpec:
    try:
        return prepare.load()
    except OpenEnvError:
        raise
    except BaseException as error:  # whatever the author's module raises, also sys.exit
        name = prepare.reference.target.module.name
        raise ConfigurationError(
            f"{name} cannot be imported by a worker process: {told(error)}",
            details={"traceback": "".join(traceback.format_exception(error))},
        ) from error


class _Zygote:
    def __init__(self, server: socket.socket, prepare: Prepare, spec: EnvironmentSpec) -> None:
        self._server = server
        self._prepare = prepare
        self._spec = spec
        self._workers: dict[int, int] = {}  # number by process id, until reaped
        self._offspring = Offspring()
        self._told_to_end = False
        self._wake, self._waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        self._before: dict[signal.Signals, Any] = {
            number: signal.signal(number, self._on_signal) for number in _OWN_SIGNALS
        }

    def _on_signal(self, number: int, frame: object) -> None:
        if number == signal.SIGTERM:
            self._told_to_end = True

    def run(self) -> None:
        """Start workers until the server is gone, then end them all."""
        self._say(Ready(_can_fork()))
        poller = select.poll()
        poller.register(self._server, select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        while not self._told_to_end:
            ready = {descriptor for descriptor, _ in poller.poll()}
            if self._wake in ready:
                os.read(self._wake, 4096)
                self._reap()
            if self._server.fileno() in ready and not self._obey():
                break
        self._end_all()

    def _obey(self) -> bool:
        """Do what the server says; whether it is there."""
        order, descriptor = receive(self._server)
        if isinstance(order, Start) and descriptor is not None:
            self._start(order.number, descriptor)
        elif isinstance(order, Kill):
            for pid, number in self._workers.items():
                if number == order.number:
                    kill_group(pid)
        return order is not None

    def _start(self, number: int, descriptor: int) -> None:
        control = socket.socket(fileno=descriptor)
        try:
            pid = self._fork(number, control) if _can_fork() else self._spawn(number, control)
        except OSError as error:
            self._say(Ended(number, not_started=error.strerror))
        else:
            self._workers[pid] = number
        finally:
            control.close()

    def _fork(self, number: int, control: socket.socket) -> int:
        own = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                begin(own, number)
                signal.set_wakeup_fd(-1)
                for one, handler in self._before.items():
                    signal.signal(one, handler if handler is not None else signal.SIG_DFL)
                self._server.close()
                os.close(self._wake)
                os.close(self._waking)
                _reseed()
                work(control, self._spec, self._prepare.limits)
            except BaseException:  # noqa: BLE001 - this copy must not go on as a fork server
                traceback.print_exc()
            finally:
                os._exit(1)
        return pid

    def _spawn(self, number: int, control: socket.socket) -> int:
        control.set_inheritable(True)
        with told_privately(self._prepare) as descriptor:
            command = command_of(control.fileno(), os.getpid(), number, descriptor)
            return os.posix_spawn(command[0], command, inherited(), setsigdef=_OWN_SIGNALS)

    def _reap(self) -> None:
        """Take note of workers that ended, after ending what is left of them."""
        ended: list[Ended] = []
        with suppress(ChildProcessError):
            while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                pid = found.si_pid
                if pid in self._workers:
                    kill_group(pid)  # it was not reaped, so the number of its group is its own
                _, status, used = os.wait4(pid, 0)
                number = self._workers.pop(pid, None)
                if number is not None:
                    code = os.waitstatus_to_exitcode(status)
                    ended.append(Ended(number, max(code, 0), max(-code, 0), used.ru_utime + used.ru_stime))
        self._offspring.end_orphans(self._workers.keys(), self._workers.values())
        for one in ended:
            self._say(one)

    def _end_all(self) -> None:
        for pid in self._workers:
            kill_group(pid)
        with suppress(ChildProcessError):
            while True:
                for pid in children():
                    with suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)
                os.waitpid(-1, 0)

    def _say(self, order: Order) -> None:
        with suppress(OSError):  # a server that is gone is noticed elsewhere
            send(self._server, order)


def _can_fork() -> bool:
    """Whether this process has one thread only: another might hold a lock that a fork would never see released.

    The thread pools of numeric libraries end themselves before a fork, and begin anew when they are used: for those a
    fork that comes to nothing is enough.
    """
    if _threads() > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads, newer Pythons say
            pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.kill(pid, signal.SIGKILL)  # what runs in it after a fork may hang
        os.waitpid(pid, 0)
    return _threads() == 1


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _reseed() -> None:
    """Have the random numbers of libraries differ between workers, which would all begin with the same ones."""
    for name, function in _GENERATORS.items():
        if name in sys.modules:
            getattr(sys.modules[name], function)()
