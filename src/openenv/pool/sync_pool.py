"""``SyncEnvPool``: a pool for programs without an event loop; one thread drives all of it."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from openenv.client import AgentAccess, EpisodeOutcome
from openenv.client.forking import Origin
from openenv.errors import LocalProtocolError, OpenEnvError, SessionClosed
from openenv.pool.metrics import PoolMetrics
from openenv.pool.pool import EnvPool
from openenv.pool.results import PoolResult, ResetResult, VectorResult
from openenv.types import ActT, ObsT, StateT, StepResult

__all__ = ["SyncEnvPool"]

T = TypeVar("T")


class SyncEnvPool(Generic[ActT, ObsT, StateT]):
    """Plays many sessions at once, call by call.

    Example::

        with SyncEnvPool("http://localhost:8000", sessions=64) as pool:
            observations, infos = pool.reset(seed=7)
            observations, rewards, terminated, truncated, infos = pool.step(choose(observations))

    Everything is as with ``EnvPool``, whose arguments it takes. ``on_progress`` is called in the pool's thread. Threads
    may share it. In a process that is forked while it is open it is of no use: calls raise ``LocalProtocolError``
    there, and ``close`` does nothing.
    """

    def __init__(self, *endpoints: Any, **options: Any) -> None:
        self._pool: EnvPool[ActT, ObsT, StateT] = EnvPool(*endpoints, **options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._origin: Origin | None = None  # of the thread
        self._changing = threading.Lock()  # whether there is a thread, and whether it takes more work
        self._is_closed = False
        self._has_ended = threading.Event()

    def __len__(self) -> int:
        return len(self._pool)

    @property
    def last(self) -> PoolResult[ObsT] | None:
        """What the last call that ended gave, also if it raised."""
        return self._pool.last

    def connect(self) -> Self:
        """Reach the servers; see ``EnvPool.connect``."""
        self._run(self._pool.connect())
        return self

    def reset(
        self,
        seed: int | Sequence[int | None] | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        indices: Sequence[int] | Sequence[bool] | None = None,
        timeout_s: float | None = None,
    ) -> ResetResult[ObsT]:
        """Begin episodes; see ``EnvPool.reset``."""
        return self._run(self._pool.reset(seed, options=options, indices=indices, timeout_s=timeout_s))

    def reset_group(
        self, seed: int, n: int, *, options: Mapping[str, Any] | None = None, timeout_s: float | None = None
    ) -> ResetResult[ObsT]:
        """Begin the same episode in several sessions; see ``EnvPool.reset_group``."""
        return self._run(self._pool.reset_group(seed, n, options=options, timeout_s=timeout_s))

    def step(
        self,
        actions: Sequence[ActT] | Mapping[int, ActT],
        *,
        indices: Sequence[int] | Sequence[bool] | None = None,
        timeout_s: float | None = None,
    ) -> VectorResult[ObsT]:
        """Take actions; see ``EnvPool.step``."""
        return self._run(self._pool.step(actions, indices=indices, timeout_s=timeout_s))

    def as_completed(
        self,
        actions: Sequence[ActT] | Mapping[int, ActT],
        *,
        indices: Sequence[int] | Sequence[bool] | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[tuple[int, StepResult[ObsT] | OpenEnvError]]:
        """Take actions, and give the answers as they come; see ``EnvPool.as_completed``."""
        came: queue.SimpleQueue[tuple[int, StepResult[ObsT] | OpenEnvError] | None] = queue.SimpleQueue()

        async def read() -> None:
            try:
                async for answer in self._pool.as_completed(actions, indices=indices, timeout_s=timeout_s):
                    came.put(answer)
            finally:
                came.put(None)

        reading = self._submit(read())
        try:
            while (answer := came.get()) is not None:
                yield answer
        except BaseException:
            reading.cancel()  # nobody reads on
            raise
        reading.result()

    def states(self, *, indices: Sequence[int] | Sequence[bool] | None = None) -> list[StateT]:
        """Where the episodes stand; see ``EnvPool.states``."""
        return self._run(self._pool.states(indices=indices))

    def outcomes(self, *, indices: Sequence[int] | Sequence[bool] | None = None) -> list[EpisodeOutcome]:
        """What has come of the episodes so far; see ``EnvPool.outcomes``."""
        return self._run(self._pool.outcomes(indices=indices))

    def agent_access(self, *, indices: Sequence[int] | Sequence[bool] | None = None) -> list[AgentAccess]:
        """What agents need to play the running episodes over MCP; see ``EnvPool.agent_access``."""
        return self._run(self._pool.agent_access(indices=indices))

    def metrics(self) -> PoolMetrics:
        """What was done so far, and how fast."""
        return self._run(self._metrics())

    def close(self) -> None:
        """End all sessions, and the thread. Safe to call twice."""
        if self._origin is not None and self._origin.is_elsewhere:
            return  # all of it is the other process's
        with self._changing:
            is_first, self._is_closed = not self._is_closed, True
            loop, thread = self._loop, self._thread
        if not is_first:
            self._has_ended.wait()
            return
        try:
            if loop is not None:
                _result(asyncio.run_coroutine_threadsafe(self._pool.close(), loop))
        finally:
            if loop is not None and thread is not None:
                loop.call_soon_threadsafe(loop.stop)
                thread.join()
            self._has_ended.set()

    def __enter__(self) -> Self:
        try:
            return self.connect()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _metrics(self) -> PoolMetrics:
        return self._pool.metrics()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return _result(self._submit(work))

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if self._origin is not None and self._origin.is_elsewhere:
            work.close()
            raise LocalProtocolError(
                "this pool's sessions are those of the process that forked this one; make another pool here"
            )
        with self._changing:
            if self._is_closed:
                work.close()
                raise SessionClosed("this pool was closed; make another one")
            if self._loop is None:
                self._loop, self._origin = asyncio.new_event_loop(), Origin()
                self._thread = threading.Thread(target=_drive, args=(self._loop,), name="openenv-pool", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)


def _result(waiting: Future[T]) -> T:
    try:
        return waiting.result()
    except BaseException:
        waiting.cancel()  # an interrupt: nobody waits any more
        raise


def _drive(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:  # after an interrupt; who waits for one in another thread must not do so for ever
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
