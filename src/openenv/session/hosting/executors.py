"""The thread an environment lives on, behind one method: ``call``."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from time import perf_counter, thread_time
from typing import Any, Protocol, TypeVar

from openenv.session.hosting.held import Held
from openenv.session.hosting.placement import SLOW_INLINE_S, Kind, Placement, SpeedRecord, ThreadUse

__all__ = ["EnvironmentExit", "Executor", "InlineExecutor", "LoopThreadExecutor", "ThreadExecutor", "executor_for"]

_GRACE_S = 5.0
"""Seconds that tasks an environment left behind are given to end once they are cancelled."""

log = logging.getLogger("openenv.session")

T = TypeVar("T")
R = TypeVar("R")

_TASKS_BELONG_TO_THREADS = sys.version_info >= (3, 14)
"""Whether a task that runs forbids another loop of the same thread to run one."""


class Executor(Protocol):
    """Runs all calls of one environment in one place, one after the other."""

    placement: Placement

    @property
    def common(self) -> object | None:
        """The same for all places that are one: what runs in one of them may run in another. ``None``: it is alone."""

    async def call(self, kind: Kind, function: Callable[[], Any]) -> Any:
        """Run a function there and return its result; an awaitable result is awaited there."""

    def meanwhile(self, function: Callable[[], None]) -> None:
        """Run a function there beside a call that is awaited; not at all where calls are not."""

    def moved(self) -> Executor:
        """The place for the calls to come where one may have to be given up: never the server's thread."""

    async def settled(self, timeout_s: float) -> bool:
        """Whether a call that was cancelled has ended, now or within that time."""

    async def stop(self) -> None:
        """End the place. No call may follow."""


def executor_for(speed: SpeedRecord, *, is_async: bool, name: str) -> Executor:
    """A new place for an environment of a class with this speed record."""
    inline = speed.placement is Placement.INLINE
    if is_async:
        return InlineLoopExecutor(speed) if inline else LoopThreadExecutor(speed, name)
    return InlineExecutor(speed, name) if inline else ThreadExecutor(speed, name)


class InlineExecutor:
    """The server's own thread, for synchronous environments proven to be fast."""

    placement = Placement.INLINE

    def __init__(self, speed: SpeedRecord, name: str) -> None:
        self._speed = speed
        self._name = name
        self._loop = asyncio.get_running_loop()
        self.common: object | None = speed

    async def call(self, kind: Kind, function: Callable[[], Any]) -> Any:
        return self.calling(lambda _: function())(None)

    def calling(self, function: Callable[[T], R]) -> Callable[[T], R]:
        """What runs a function here, whenever it is called, and returns its result, which must be no awaitable."""
        loop, speed, hide = self._loop, self._speed, asyncio._set_running_loop

        def call(argument: T) -> R:
            # without a visible loop the environment may call asyncio.run, as it may on a thread of its own
            task = asyncio.current_task(loop) if _TASKS_BELONG_TO_THREADS else None
            if task is not None:
                asyncio._leave_task(loop, task)
            hide(None)
            use = ThreadUse() if speed.watched else None
            began = perf_counter()
            try:
                return function(argument)
            except asyncio.CancelledError as error:  # nobody cancelled the caller: the environment raised it
                raise _carried(error) from error
            finally:
                took_s = perf_counter() - began
                if took_s > SLOW_INLINE_S or use is not None:
                    speed.record_inline(took_s, preempted=use is not None and use.was_preempted(took_s))
                hide(loop)
                if task is not None:
                    asyncio._enter_task(loop, task)

        return call

    def meanwhile(self, function: Callable[[], None]) -> None:
        pass

    def moved(self) -> Executor:
        self._speed.forbid_inline()  # later sessions of the class begin on a thread
        return ThreadExecutor(self._speed, self._name)

    async def settled(self, timeout_s: float) -> bool:
        return True

    async def stop(self) -> None:
        pass


class InlineLoopExecutor:
    """The server's own event loop, for asynchronous environments proven not to hold it up."""

    placement = Placement.INLINE
    common = None

    def __init__(self, speed: SpeedRecord) -> None:
        self._speed = speed

    async def call(self, kind: Kind, function: Callable[[], Any]) -> Any:
        held = Held(function)
        try:
            return await held
        except asyncio.CancelledError as error:
            raise _told_apart(error) from error
        finally:
            self._speed.record_inline(held.longest_s)

    def meanwhile(self, function: Callable[[], None]) -> None:
        function()

    def moved(self) -> Executor:
        return self

    async def settled(self, timeout_s: float) -> bool:
        return True

    async def stop(self) -> None:
        pass


class ThreadExecutor:
    """A thread of the environment's own."""

    placement = Placement.THREAD
    common = None

    def __init__(self, speed: SpeedRecord, name: str) -> None:
        self._speed = speed
        self._jobs: SimpleQueue[tuple[Kind, Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._ended = _uncancellable()
        # daemon: an environment that hangs must not keep the server from exiting
        threading.Thread(target=self._work, name=name, daemon=True).start()

    async def call(self, kind: Kind, function: Callable[[], Any]) -> Any:
        done: Future[Any] = Future()
        self._jobs.put((kind, function, done))
        return await asyncio.wrap_future(done)

    def meanwhile(self, function: Callable[[], None]) -> None:
        pass

    def moved(self) -> Executor:
        return self

    async def settled(self, timeout_s: float) -> bool:
        return True

    async def stop(self) -> None:
        self._jobs.put(None)
        await asyncio.wrap_future(self._ended)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            kind, function, done = job
            if not done.set_running_or_notify_cancel():
                continue
            crowded = self._speed.begin_threaded()
            began, began_cpu = perf_counter(), thread_time()
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - the caller gets it, also a sys.exit of the environment
                self._speed.record_threaded(kind, perf_counter() - began, thread_time() - began_cpu, crowded)
                done.set_exception(_carried(error))
            else:
                self._speed.record_threaded(kind, perf_counter() - began, thread_time() - began_cpu, crowded)
                done.set_result(result)
            del job, function, done
        self._ended.set_result(None)


class LoopThreadExecutor:
    """A thread with an event loop of the environment's own, so that one that blocks holds up nobody else."""

    placement = Placement.THREAD
    common = None

    def __init__(self, speed: SpeedRecord, name: str) -> None:
        self._speed = speed
        self._loop = asyncio.new_event_loop()
        self._loop.set_task_factory(self._new_task)
        self._stopping = False
        self._ended = _uncancellable()
        self._asked = self._begun = 0  # calls; each number is written by one thread only
        self._running: set[asyncio.Task[Any]] = set()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    async def call(self, kind: Kind, function: Callable[[], Any]) -> Any:
        self._asked += 1
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._run(kind, function), self._loop))

    def meanwhile(self, function: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(function)

    def moved(self) -> Executor:
        return self

    async def settled(self, timeout_s: float) -> bool:
        ended = [self._ended_of(task) for task in [*self._running]]
        if ended:
            await asyncio.wait([asyncio.wrap_future(one) for one in ended], timeout=timeout_s)
        return not self._running and self._asked == self._begun

    def _ended_of(self, task: asyncio.Task[Any]) -> Future[None]:
        """Done when the task is, which runs on the other thread."""
        ended: Future[None] = Future()

        def finished(_: object) -> None:
            if not ended.done():
                ended.set_result(None)

        self._loop.call_soon_threadsafe(lambda: task.add_done_callback(finished))
        return ended

    async def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop)
        await asyncio.wrap_future(self._ended)

    async def _run(self, kind: Kind, function: Callable[[], Any]) -> Any:
        held = Held(function)
        try:
            return await held
        except (SystemExit, KeyboardInterrupt) as error:  # would end the loop instead of reaching the caller
            raise _carried(error) from error
        except asyncio.CancelledError as error:
            raise _told_apart(error) from error
        finally:
            self._speed.record_threaded(kind, held.longest_s, held.longest_cpu_s)

    def _new_task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **keywords: Any) -> asyncio.Task[Any]:
        """A task for this loop. A class that makes tasks of its own never moves into the server's loop.

        There they would outlive the session, and a sys.exit in one would end the server.
        """
        is_ours = getattr(coroutine, "cr_code", None) is LoopThreadExecutor._run.__code__
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **keywords)
        if is_ours:
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            self._begun += 1
        else:
            self._speed.forbid_inline()
        return task

    def _stop(self) -> None:
        self._stopping = True
        self._loop.set_task_factory(None)  # what ends the loop is no task of the environment's
        self._loop.stop()

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            while not self._stopping:
                self._guarded(self._loop.run_forever)
            self._guarded(lambda: self._loop.run_until_complete(self._end_tasks()))
        finally:
            self._loop.close()
            self._ended.set_result(None)

    def _guarded(self, run: Callable[[], Any]) -> None:
        try:
            run()
        except (SystemExit, KeyboardInterrupt) as error:  # of a task; whoever awaits it gets it too
            log.warning("a task of an environment raised %s", _named(error))

    async def _end_tasks(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_GRACE_S)
        await self._loop.shutdown_asyncgens()


class EnvironmentExit(Exception):
    """Carries what may end neither the server nor the wait for an answer, such as a ``sys.exit``.

    Attributes:
        raised: What the environment raised.
    """

    def __init__(self, raised: BaseException) -> None:
        super().__init__(_named(raised))
        self.raised = raised


def _uncancellable() -> Future[None]:
    """A future that whoever waits for it cannot cancel: a thread that ends has to be able to say so."""
    made: Future[None] = Future()
    made.set_running_or_notify_cancel()
    return made


def _carried(error: BaseException) -> Exception:
    """The error in a form that futures pass on as it is."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return EnvironmentExit(error)


def _told_apart(error: asyncio.CancelledError) -> BaseException:
    """The cancellation itself, if the running task was cancelled, or else what the environment raised by itself."""
    task = asyncio.current_task()
    return error if task is not None and task.cancelling() else EnvironmentExit(error)


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
