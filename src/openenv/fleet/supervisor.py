"""The processes of a server with several workers: started, replaced when they end, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from openenv.errors import ConfigurationError, OpenEnvError, RuntimeFailure
from openenv.fleet.counter import Counter
from openenv.fleet.desk import Desk
from openenv.runtime import EmbeddedRuntime
from openenv.runtime.embedded import EmbeddedServer

__all__ = ["Supervisor"]

_LONGEST_PATH = 100  # bytes that the path of a Unix socket may have anywhere
_BACKLOG = 4096
_CLOSES_WITHIN_S = 5.0  # as a server gives environments to close, after the running requests
_LETS_GO_WITHIN_S = 2.0
_JOINS_WITHIN_S = 30.0
_LIVED_S = 10.0
"""A worker that has lived so long is replaced at once when it ends; else there is a pause, which grows."""
_PAUSES_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)

log = logging.getLogger("openenv.server")

T = TypeVar("T")


class Supervisor:
    """Keeps the workers of a server. Their processes end when this one does, in whatever way.

    Args:
        module: What a worker runs; see ``EmbeddedRuntime``.
        arguments: Makes those of a worker, from its number; JSON-compatible. ``worker`` is added: its number
            ``index``, the Unix sockets of all as ``paths``, and the file descriptors of its TCP sockets ``listeners``,
            of its end of the line to the desk ``desk``, and of its Unix socket ``door``.
        count: How many workers.
        listeners: Of each port that all share, what makes a TCP socket that a worker is to listen on.
        name: What is served, for errors.
        grace_s: Seconds that running requests are given when a worker is stopped.
        start_timeout_s: Seconds until a worker must take connections.

    Attributes:
        desk: Where their sessions are placed.
    """

    def __init__(
        self,
        module: str,
        arguments: Callable[[int], Mapping[str, Any]],
        count: int,
        listeners: Sequence[Callable[[], socket.socket]],
        *,
        name: str,
        grace_s: float,
        start_timeout_s: float = 120.0,
    ) -> None:
        self.desk = Desk(count)
        self._module = module
        self._arguments = arguments
        self._listeners = listeners
        self._name = name
        self._drain_timeout_s = grace_s + _CLOSES_WITHIN_S + _LETS_GO_WITHIN_S
        self._start_timeout_s = start_timeout_s
        self._workers = [_Worker(index) for index in range(count)]
        self._directory = ""
        self._doors: list[socket.socket] = []
        self._given_up = threading.Event()
        self._stopped_by: asyncio.Future[int] | None = None
        self._rolling: asyncio.Task[None] | None = None
        self._threads = ThreadPoolExecutor(3 * count + 1, "openenv-supervisor")

    async def serve(self, on_ready: Callable[[str], None]) -> int:
        """Serve until SIGINT or SIGTERM; SIGHUP replaces one worker after the other. A second signal ends all at once.

        Args:
            on_ready: Called once with the URL, when all workers take connections.

        Returns:
            The exit code: 1 if environments did not let go in time, else 0.

        Raises:
            OpenEnvError: A worker could not be started, as its own class.
        """
        loop = asyncio.get_running_loop()
        self._stopped_by = loop.create_future()
        self._directory = _private_directory(len(self._workers))
        background: list[asyncio.Task[None]] = []
        try:
            self._doors = [_listening(path) for path in self._paths]
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self._stop, number)
            loop.add_signal_handler(signal.SIGHUP, self._roll)
            urls = await self._start_all()
            if urls and not self._stopped_by.done():
                on_ready(urls[0])
                background = [asyncio.create_task(self._keep(worker)) for worker in self._workers]
                background.append(asyncio.create_task(self._look_after()))
                await self._stopped_by
            return await self._end(background)
        finally:
            for worker in self._workers:
                if worker.server is not None:
                    worker.server.kill()
            self._threads.shutdown(wait=False)
            for door in self._doors:
                door.close()
            shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def _paths(self) -> list[str]:
        return [os.path.join(self._directory, f"worker-{index}") for index in range(len(self._workers))]

    @property
    def _is_stopping(self) -> bool:
        return self._stopped_by is not None and self._stopped_by.done()

    async def _start_all(self) -> list[str]:
        """The URLs of all workers; none if it was stopped meanwhile."""
        starts = [asyncio.create_task(self._start(worker)) for worker in self._workers]
        done, _ = await asyncio.wait(starts, return_when=asyncio.FIRST_EXCEPTION)
        if any(start.exception() for start in done):
            self._given_up.set()
        ended = await asyncio.gather(*starts, return_exceptions=True)
        if self._is_stopping:
            return []
        first = next((start.exception() for start in starts if start in done and start.exception()), None)
        if first is not None:
            raise first
        return [url for url in ended if isinstance(url, str)]

    async def _start(self, worker: _Worker) -> str:
        """Start a worker, and have it join."""
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as made:
            listeners = [made.enter_context(make()).fileno() for make in self._listeners]
            desk, door = theirs.fileno(), self._doors[worker.index].fileno()
            fds = {"listeners": listeners, "desk": desk, "door": door}
            runtime = EmbeddedRuntime(
                self._module,
                {
                    **self._arguments(worker.index),
                    "worker": {"index": worker.index, "paths": self._paths, **fds},
                },
                name=f"worker {worker.index} of {self._name}",
                start_timeout_s=self._start_timeout_s,
                stop_timeout_s=_LETS_GO_WITHIN_S,
                pass_fds=(*listeners, desk, door),
            )
            try:
                server = await self._in_thread(lambda: runtime.start(self._given_up))
            except BaseException:
                ours.close()
                raise
        worker.server, worker.began_at = server, time.monotonic()
        counter = worker.counter = Counter(self.desk, worker.index, server.pid, self._drained)
        await asyncio.get_running_loop().create_unix_connection(lambda: counter.line, sock=ours)
        try:
            async with asyncio.timeout(_JOINS_WITHIN_S):
                await counter.has_joined.wait()
        except TimeoutError:
            raise RuntimeFailure(f"worker {worker.index} of {self._name} listens, but says nothing") from None
        return server.url

    async def _keep(self, worker: _Worker) -> None:
        """Replace a worker whenever it ends by itself."""
        while True:
            server = worker.server
            assert server is not None
            code = await self._in_thread(server.wait)
            async with worker.changing:
                if worker.server is server and not self._is_stopping:
                    log.error("worker %d of %s ended (%s); it is started again", worker.index, self._name, _told(code))
                    await self._restart(worker)
            if self._is_stopping:
                self._drained()
                return

    async def _restart(self, worker: _Worker) -> None:
        """Start a worker again, however often it takes."""
        lived_s = time.monotonic() - worker.began_at
        worker.failures = 0 if lived_s > _LIVED_S else worker.failures + 1
        if worker.counter is not None:
            worker.counter.line.abort()  # a program that the worker has left behind may hold its other end
        while not self._is_stopping:
            await self._pause(_PAUSES_S[min(worker.failures, len(_PAUSES_S) - 1)])
            if self._is_stopping:
                return
            try:
                await self._start(worker)
                return
            except (OpenEnvError, OSError) as error:
                worker.failures += 1
                self.desk.given_up(worker.index)
                if not self._is_stopping:
                    log.error("worker %d of %s could not be started: %s", worker.index, self._name, error)

    def _roll(self) -> None:
        if self._rolling is not None and not self._rolling.done():
            log.warning("the workers of %s are being replaced already", self._name)
        elif not self._is_stopping:
            self._rolling = asyncio.create_task(self._replace_all())

    async def _replace_all(self) -> None:
        """Replace one worker after the other; each takes sessions before the next one ends."""
        for worker in self._workers:
            async with worker.changing:
                if self._is_stopping:
                    return
                if worker.server is None:  # it is being started, so it is new
                    continue
                self.desk.retire(worker.index)
                await self._drain(worker.server)
                worker.failures, worker.began_at = 0, 0.0
                await self._restart(worker)
        log.info("all workers of %s were replaced", self._name)

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            await self.desk.relieve()

    def _drained(self) -> None:
        """A worker has ended its sessions. When all stop, none closes connections that the others may need."""
        counters = [worker.counter for worker in self._workers if worker.counter is not None]
        living = [counter for counter in counters if counter.line.is_open]
        if not self._is_stopping:
            for counter in living:
                if counter.has_drained:
                    counter.let_close()
        elif all(counter.has_drained for counter in living):
            for counter in living:
                counter.let_close()

    def _stop(self, number: int) -> None:
        assert self._stopped_by is not None
        if self._is_stopping:
            for worker in self._workers:
                if worker.server is not None:
                    worker.server.kill()
            shutil.rmtree(self._directory, ignore_errors=True)
            os._exit(128 + number)
        self._stopped_by.set_result(number)
        self._given_up.set()

    async def _end(self, background: list[asyncio.Task[None]]) -> int:
        """End all workers; the exit code."""
        servers = [one.server for one in self._workers if one.server is not None and not one.server.ended]
        self._drained()
        in_time = await asyncio.gather(*(self._drain(server) for server in servers))
        tasks = [*background, *([self._rolling] if self._rolling else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        late = [worker.server for worker in self._workers if worker.server not in servers]
        await asyncio.gather(*(self._in_thread(server.close) for server in late if server is not None))
        # one that somebody else has killed just now is no reason to fail
        return int(not all(in_time) or any(server.wait() > 0 for server in servers))

    async def _pause(self, seconds: float) -> None:
        """Wait, unless it is stopped meanwhile."""
        assert self._stopped_by is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._stopped_by)

    def _drain(self, server: EmbeddedServer) -> Awaitable[bool]:
        return self._in_thread(lambda: server.drain(self._drain_timeout_s))

    def _in_thread(self, work: Callable[[], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)


class _Worker:
    """One place in the row of workers, and who has it now."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.server: EmbeddedServer | None = None
        self.counter: Counter | None = None
        self.began_at = 0.0
        self.failures = 0
        self.changing = asyncio.Lock()


def _private_directory(count: int) -> str:
    """A directory for Unix sockets, whose paths must be short, that only this user can reach."""
    for place in (None, "/tmp"):  # noqa: S108 - made for this user only, under a name that nobody knows before
        made = tempfile.mkdtemp(prefix="openenv-", dir=place)
        if len(os.path.join(made, f"worker-{count}").encode()) <= _LONGEST_PATH:
            return made
        os.rmdir(made)
    raise ConfigurationError("there is no directory for temporary files with a short enough path; set TMPDIR")


def _listening(path: str) -> socket.socket:
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        door.bind(path)
        door.listen(_BACKLOG)
    except OSError as error:
        door.close()
        raise RuntimeFailure(f"the workers cannot reach each other at {path}: {error.strerror}") from error
    return door


def _told(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
