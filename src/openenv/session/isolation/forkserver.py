"""The server's end of a fork server, and of the workers that it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from openenv.errors import RuntimeFailure, error_from_code
from openenv.session.isolation.boot import command
from openenv.session.isolation.death import WorkerDied, told
from openenv.session.isolation.line import Line
from openenv.session.isolation.orders import Ended, Kill, Limits, Order, Prepare, Ready, Refused, Start, receive, send

__all__ = ["ForkServer", "WorkerProcess"]

_START_S = 120.0
_STOP_S = 5.0
_KILL_S = 5.0
_DEATH_S = 0.5


class WorkerProcess:
    """A worker, which may not have begun yet.

    Attributes:
        number: Its name between us and the fork server.
        ended: How it died, once it has; never an exception.
    """

    def __init__(self, number: int, control: socket.socket, forks: ForkServer) -> None:
        self.number = number
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._control = control
        self._forks = forks
        self._lines: set[Line] = set()
        self._asked: str | None = None

    async def connect(self) -> Line:
        """The way to a new session in it.

        Raises:
            WorkerDied: It takes no session any more; it has not seen this one.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._control, [b"session"], [theirs.fileno()])
        except OSError:
            ours.close()
            raise WorkerDied("its process was gone before the session began") from None
        line = Line(self.kill, self._on_line_end)
        self._lines.add(line)
        ours.setblocking(False)
        await asyncio.get_running_loop().create_unix_connection(lambda: line, sock=ours)
        return line

    def drop(self, line: Line) -> None:
        """Let go of a session; the worker closes its environment if it has not."""
        self._lines.discard(line)
        line.close()

    def kill(self, reason: str) -> None:
        """Have it killed, with everything that it started. ``reason`` is how it died, unless it died by itself."""
        if self._asked is None:
            self._asked = reason
        self._forks.say(Kill(self.number))

    async def end(self, reason: str) -> None:
        """Kill it and wait until it is gone. A fork server that does not answer goes with it."""
        if not self.ended.done():
            self.kill(reason)
            await asyncio.wait({self.ended}, timeout=_KILL_S)
            if not self.ended.done():
                self._forks.kill()
            await asyncio.shield(self.ended)

    async def retire(self) -> None:
        """Let it end, now that it has no sessions, and wait until it is gone."""
        self._control.close()
        if not self.ended.done():
            await asyncio.wait({self.ended}, timeout=_STOP_S)
            await self.end("its process was killed: it did not end by itself")

    def _on_line_end(self) -> None:
        """It should be dead. If it is not it has closed its end, and lives on for nothing."""
        asyncio.get_running_loop().call_later(_DEATH_S, self._end_silent)

    def _end_silent(self) -> None:
        if not self.ended.done():
            self.kill("its process was killed: it closed its connection")

    def note_end(self, ended: Ended, limits: Limits) -> None:
        """The fork server says that it is gone."""
        self.lose(told(ended, limits, self._asked))

    def lose(self, reason: str) -> None:
        """It is gone."""
        self._control.close()
        if not self.ended.done():
            self.ended.set_result(reason)
        for line in self._lines:
            line.fail(reason)


class ForkServer:
    """A running fork server. ``ForkServer.start`` makes one.

    Args:
        prepare: What it has imported, and what its workers may use.
        on_lost: Called once if it ends without having been asked to, when that is known of its workers too.

    Attributes:
        by_fork: Whether workers are forked, or, where that is not safe, each start anew.
    """

    def __init__(self, prepare: Prepare, on_lost: Callable[[ForkServer], None]) -> None:
        self.by_fork = True
        self._limits = prepare.limits
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[Ready] = self._loop.create_future()
        self._workers: dict[int, WorkerProcess] = {}
        self._number = 0
        self._outbox: deque[tuple[Order, socket.socket | None]] = deque()
        self._closing = False
        self._buried: asyncio.Task[None] | None = None
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                # on this thread, which lives as long as its loop: the child dies with the thread that started it
                self._process = subprocess.Popen(
                    command("openenv.session.isolation.zygote", str(theirs.fileno()), str(os.getpid())),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    **_output(),
                )
        except BaseException:
            self._socket.close()
            raise
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket.fileno(), self._on_readable)
        self.say(prepare)

    @staticmethod
    async def start(prepare: Prepare, on_lost: Callable[[ForkServer], None]) -> ForkServer:
        """Start one and wait until it can start workers.

        Raises:
            ConfigurationError: What is served cannot be imported; it says why.
            RuntimeFailure: It did not start.
        """
        forks = ForkServer(prepare, on_lost)
        try:
            async with asyncio.timeout(_START_S):
                ready = await forks._ready
        except TimeoutError:
            await forks.aclose()
            raise RuntimeFailure(
                f"importing {prepare.reference.target.module.name} in a worker process took over {_START_S:g} s"
            ) from None
        except BaseException:
            await forks.aclose()
            raise
        forks.by_fork = ready.forks
        return forks

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_gone(self) -> bool:
        """Whether it has ended, or is about to."""
        return self._buried is not None

    def start_worker(self) -> WorkerProcess:
        """A new worker; that it could not be started shows in ``ended``."""
        self._number += 1
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        worker = self._workers[self._number] = WorkerProcess(self._number, ours, self)
        self.say(Start(self._number), theirs)
        if self._buried is not None:
            self._lose_all("its fork server is gone")
        return worker

    def say(self, order: Order, beside: socket.socket | None = None) -> None:
        """Send it a word, now or when there is room; ``beside`` is handed over with it."""
        self._outbox.append((order, beside))
        if len(self._outbox) == 1:
            self._flush()

    def kill(self) -> None:
        """Kill it, and its workers with it."""
        self._process.kill()

    async def aclose(self) -> None:
        """End it and its workers, and wait until they are gone."""
        self._closing = True
        if self._buried is None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._bury(_STOP_S if self._ready.done() else 0.0)  # one that imports still has no workers to end
        assert self._buried is not None  # for the type checker
        await asyncio.shield(self._buried)

    def _flush(self) -> None:
        while self._outbox:
            order, beside = self._outbox[0]
            try:
                send(self._socket, order, None if beside is None else beside.fileno())
            except BlockingIOError:
                self._loop.add_writer(self._socket.fileno(), self._resume)
                return
            except OSError:  # it is gone, which is noticed where it is read from
                pass
            self._outbox.popleft()
            if beside is not None:
                beside.close()

    def _resume(self) -> None:
        self._loop.remove_writer(self._socket.fileno())
        self._flush()

    def _on_readable(self) -> None:
        try:
            while True:
                order, _ = receive(self._socket)
                if order is None:
                    self._bury(0.0 if self._ready.done() else _STOP_S)
                    return
                self._heed(order)
        except BlockingIOError:
            pass
        except (OSError, msgspec.MsgspecError):  # what is served has got at its socket
            self._bury(0.0)

    def _heed(self, order: Order) -> None:
        match order:
            case Ready():
                if not self._ready.done():
                    self._ready.set_result(order)
            case Refused():
                if not self._ready.done():
                    self._ready.set_exception(error_from_code(order.code, order.message, order.details))
            case Ended():
                worker = self._workers.pop(order.number, None)
                if worker is not None:
                    worker.note_end(order, self._limits)

    def _bury(self, patience_s: float) -> None:
        """See to its end, once."""
        if self._buried is None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._buried = self._loop.create_task(self._end(patience_s))

    async def _end(self, patience_s: float) -> None:
        code = await self._loop.run_in_executor(None, _waited, self._process, patience_s)
        self._socket.close()
        for _, beside in self._outbox:
            if beside is not None:
                beside.close()
        self._outbox.clear()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        if self._closing:
            self._ready.cancel()
        elif not self._ready.done():
            self._ready.set_exception(
                RuntimeFailure(f"the process that imports what is served {how}; what it said is on standard error")
            )
        self._lose_all(f"its fork server {how}")
        if not self._closing:
            self._on_lost(self)

    def _lose_all(self, reason: str) -> None:
        workers, self._workers = self._workers, {}
        for worker in workers.values():
            worker.lose(reason)


def _waited(process: subprocess.Popen[bytes], patience_s: float) -> int:
    """The exit code of a process that is to end by itself or be killed."""
    try:
        return process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _output() -> dict[str, Any]:
    """What environments print goes where it would go from this process, if there is such a place."""
    found: dict[str, Any] = {}
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        try:
            os.fstat(descriptor)
        except OSError:  # a daemon without one
            found[name] = subprocess.DEVNULL
    return found
