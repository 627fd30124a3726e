"""The workers of one server: one is always ready, and what dies is replaced."""

from __future__ import annotations

import asyncio
import logging
import sys

from openenv.errors import ConfigurationError, FactoryFailed, OpenEnvError, SessionClosed
from openenv.session.isolation.death import WorkerDied
from openenv.session.isolation.forkserver import ForkServer, WorkerProcess
from openenv.session.isolation.host import WorkerHost
from openenv.session.isolation.orders import Limits, Prepare, Surroundings
from openenv.session.isolation.reference import FactoryReference

__all__ = ["Supervisor"]

_FUTILE = 5
"""Deaths of spare workers or fork servers in a row after which the next waits until it is needed."""

log = logging.getLogger("openenv.session")


class Supervisor:
    """Keeps worker processes and builds environments in them. Nothing is started before ``start``.

    Args:
        reference: What is served.
        sessions_per_worker: How many sessions may share a process, 1 or more; they die together.
        memory_bytes: Memory that a worker may use beyond what it has at its start; an allocation beyond raises
            ``MemoryError`` in the environment. It is address space that counts, also where nothing is written to it.
        cpu_s: Processor time that a worker may use in its life, in whole seconds; it is killed after that.
        surroundings: What environments are given besides.

    Attributes:
        restarts: How many workers died without having been told to end, and fork servers likewise.

    Raises:
        ConfigurationError: A number is not above 0.
    """

    def __init__(
        self,
        reference: FactoryReference,
        sessions_per_worker: int = 1,
        memory_bytes: int | None = None,
        cpu_s: int | None = None,
        *,
        surroundings: Surroundings = Surroundings(),  # noqa: B008 - it cannot change
    ) -> None:
        for name, given in (
            ("sessions_per_worker", sessions_per_worker),
            ("memory_bytes", memory_bytes),
            ("cpu_s", cpu_s),
        ):
            if given is not None and (not isinstance(given, int) or given < 1):
                raise ConfigurationError(f"{name} must be a whole number above 0, not {given!r}")
        self.restarts = 0
        self._prepare = Prepare(reference, Limits(memory_bytes, cpu_s), surroundings)
        self._per_worker = sessions_per_worker
        self._starting: asyncio.Task[ForkServer] | None = None
        self._spare: WorkerProcess | None = None
        self._sessions: dict[WorkerProcess, int] = {}  # how many, by worker
        self._full: set[WorkerProcess] = set()  # those that take none any more, whatever leaves
        self._futile = 0
        self._closing = False

    async def start(self) -> None:
        """Import what is served and have a first worker ready.

        Raises:
            ConfigurationError: It cannot be imported, or this system is not Linux.
            RuntimeFailure: The process that imports it did not start.
        """
        if sys.platform != "linux":
            raise ConfigurationError("worker processes need Linux; use isolation='thread' here")
        forks = await self._fork_server()
        if not forks.by_fork:
            log.warning(
                "importing %s starts threads, so that its worker processes cannot be forked; each of them imports it "
                "anew, which makes a session slower to open",
                self._prepare.reference.target.module.name,
            )
        self._refill()

    async def build(self) -> WorkerHost:
        """An environment in a worker.

        Raises:
            FactoryFailed, ConfigurationError: It could not be built, or cannot be served.
            RuntimeFailure: There are no workers to be had.
        """
        while True:
            forks = await self._fork_server()
            worker = self._place(forks)
            try:
                host = await WorkerHost.open(worker, self._prepare.reference.name, self._leave)
            except WorkerDied as error:  # before it saw the session: another one may live
                await self._leave(worker, True)
                if not forks.is_gone:  # else it went with the fork server, which counts once, however many wait
                    self._futile += 1
                if self._futile > _FUTILE:
                    raise FactoryFailed(f"{self._prepare.reference.name} could not be built: {error}") from error
            except BaseException as error:  # also a caller that was cancelled: nobody knows the session
                await self._leave(worker, True)
                if isinstance(error, FactoryFailed) and forks.is_gone and self._futile <= _FUTILE:
                    continue  # it went with the fork server, for which it can do nothing
                raise
            else:
                self._futile = 0
                self._refill()
                return host

    async def aclose(self) -> None:
        """End all workers and the fork server, and wait until they are gone. Safe to call twice."""
        self._closing = True
        if self._starting is None:
            return
        if not self._starting.done():
            self._starting.cancel()
        [forks] = await asyncio.gather(self._starting, return_exceptions=True)
        if isinstance(forks, ForkServer):
            await forks.aclose()

    def _place(self, forks: ForkServer) -> WorkerProcess:
        """A worker with a place, which is taken now."""
        for worker, count in self._sessions.items():
            if count < self._per_worker and worker not in self._full and not worker.ended.done():
                self._sessions[worker] += 1
                return worker
        worker = self._spare or self._start_worker(forks)
        self._spare = None
        self._sessions[worker] = 1
        self._refill()
        return worker

    def _start_worker(self, forks: ForkServer) -> WorkerProcess:
        worker = forks.start_worker()
        worker.ended.add_done_callback(lambda _: self._on_end(worker))
        return worker

    def _refill(self) -> None:
        """Have a worker ready for the next session."""
        ready = self._starting is not None and self._starting.done() and not self._starting.cancelled()
        if self._spare is None and ready and not self._closing and self._futile < _FUTILE:
            assert self._starting is not None  # for the type checker
            if self._starting.exception() is None:
                self._spare = self._start_worker(self._starting.result())

    async def _leave(self, worker: WorkerProcess, is_stuck: bool) -> None:
        """A session has left its worker, which ends with its last one."""
        self._sessions[worker] -= 1
        if is_stuck:
            self._full.add(worker)
        if self._sessions[worker] == 0:
            stuck = worker in self._full
            self._full.add(worker)
            try:
                await (worker.end("its process was killed: a session did not end") if stuck else worker.retire())
            finally:
                self._sessions.pop(worker, None)
                self._full.discard(worker)

    def _on_end(self, worker: WorkerProcess) -> None:
        if worker is self._spare:
            self._spare = None
            self._futile += 1
        if not self._closing and worker not in self._full:
            self.restarts += 1
            log.warning("a worker of %s is gone: %s", self._prepare.reference.name, worker.ended.result())
        self._refill()

    async def _fork_server(self) -> ForkServer:
        """The fork server, once it is ready; one is started if there is none."""
        if self._closing:
            raise SessionClosed("the server is closing")
        failed = self._starting is not None and self._starting.done() and self._starting.exception() is not None
        if self._starting is None or failed:
            self._begin()
        assert self._starting is not None  # for the type checker
        return await asyncio.shield(self._starting)

    def _begin(self) -> None:
        self._starting = asyncio.create_task(ForkServer.start(self._prepare, self._on_lost))

    def _on_lost(self, forks: ForkServer) -> None:
        """The fork server is gone, and its workers with it."""
        if self._starting is None or self._closing or not self._starting.done():  # while it started: told there
            return
        self.restarts += 1
        self._futile += 1
        log.error(
            "the fork server of %s is gone, and all its workers; another is started", self._prepare.reference.name
        )
        self._starting = None
        if self._futile < _FUTILE:
            self._begin()
            assert self._starting is not None  # for the type checker
            self._starting.add_done_callback(self._on_started_anew)

    def _on_started_anew(self, starting: asyncio.Task[ForkServer]) -> None:
        if starting.cancelled():
            return
        error = starting.exception()
        if error is None:
            self._refill()
        else:
            told = error.message if isinstance(error, OpenEnvError) else repr(error)
            log.error("the fork server of %s cannot be started again: %s", self._prepare.reference.name, told)
