"""The places an environment can live: what they carry in and out, and what they leave behind."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from tests.unit.session.worlds import PATIENCE_S, threads_left

from openenv.session.hosting.executors import (
    Executor,
    InlineExecutor,
    InlineLoopExecutor,
    LoopThreadExecutor,
    ThreadExecutor,
)
from openenv.session.hosting.placement import STEP, SpeedRecord

MAKERS = {
    "thread": lambda: ThreadExecutor(SpeedRecord(), "openenv-test"),
    "loop thread": lambda: LoopThreadExecutor(SpeedRecord(), "openenv-test"),
    "inline": lambda: InlineExecutor(SpeedRecord(), "test"),
    "inline loop": lambda: InlineLoopExecutor(SpeedRecord()),
}


@pytest.fixture(params=MAKERS)
async def executor(request: pytest.FixtureRequest) -> AsyncIterator[Executor]:
    made = MAKERS[request.param]()
    yield made
    await made.stop()
    assert not threads_left()


@pytest.fixture(params=["loop thread", "inline loop"])
async def awaiting(request: pytest.FixtureRequest) -> AsyncIterator[Executor]:
    made = MAKERS[request.param]()
    yield made
    await made.stop()
    assert not threads_left()


async def test_a_result_and_an_error_come_back(executor: Executor) -> None:
    assert await executor.call(STEP, lambda: 42) == 42

    def fail() -> None:
        raise ValueError("as it was")

    with pytest.raises(ValueError, match="as it was"):
        await executor.call(STEP, fail)
    assert await executor.call(STEP, lambda: 43) == 43


async def test_all_calls_run_on_one_thread(executor: Executor) -> None:
    threads = {await executor.call(STEP, threading.get_ident) for _ in range(5)}
    assert len(threads) == 1
    assert (threads == {threading.get_ident()}) is (executor.placement.value == "inline")


@pytest.mark.parametrize("raised", [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), StopIteration()])
async def test_nothing_an_environment_raises_looks_like_something_else(
    executor: Executor, raised: BaseException
) -> None:
    def fail() -> None:
        raise raised

    with pytest.raises((Exception, SystemExit, KeyboardInterrupt)) as caught:  # but no cancellation
        await executor.call(STEP, fail)
    assert not isinstance(caught.value, asyncio.CancelledError)
    assert await executor.call(STEP, lambda: 1) == 1


async def test_the_callers_task_is_whole_again_after_an_inline_call() -> None:
    executor = InlineExecutor(SpeedRecord(), "test")
    task, loop = asyncio.current_task(), asyncio.get_running_loop()

    def inside() -> Any:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return asyncio.run(asyncio.sleep(0, 5))

    assert await executor.call(STEP, inside) == 5
    assert asyncio.current_task() is task
    assert asyncio.get_running_loop() is loop
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.sleep(0)


async def test_what_is_awaited_is_awaited_there(awaiting: Executor) -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return threading.get_ident()

    assert await awaiting.call(STEP, work) == await awaiting.call(STEP, threading.get_ident)


async def test_what_is_thrown_into_an_await_arrives_and_may_be_handled(awaiting: Executor) -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError("inner")

    async def work() -> str:
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.001)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, LookupError("outer"))
        try:
            await future
        except LookupError:
            with pytest.raises(LookupError, match="inner"):
                await fails()
        return "handled"

    assert await awaiting.call(STEP, work) == "handled"


async def test_a_cancelled_call_cancels_what_it_awaits(awaiting: Executor) -> None:
    began, ended = threading.Event(), threading.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    call = asyncio.create_task(awaiting.call(STEP, work))
    assert await asyncio.to_thread(began.wait, PATIENCE_S)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await asyncio.to_thread(ended.wait, PATIENCE_S)
    assert await awaiting.call(STEP, lambda: 1) == 1


async def test_a_cancellation_of_the_environments_own_is_an_error(awaiting: Executor) -> None:
    async def work() -> None:
        inner = asyncio.ensure_future(asyncio.Event().wait())
        inner.cancel()
        await inner

    with pytest.raises(Exception, match="CancelledError"):
        await awaiting.call(STEP, work)


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt])
async def test_an_exit_after_an_await_is_an_error(awaiting: Executor, raised: type[BaseException]) -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise raised

    with pytest.raises((Exception, raised)):  # whichever, it came to the caller and the loop lives
        await awaiting.call(STEP, work)
    assert await awaiting.call(STEP, lambda: 1) == 1


async def test_an_exit_in_a_task_of_the_environments_ends_only_the_call() -> None:
    executor = LoopThreadExecutor(SpeedRecord(), "openenv-test")

    async def exits() -> None:
        sys.exit(4)

    async def work() -> None:
        await asyncio.gather(exits())

    with pytest.raises(Exception, match="SystemExit: 4"):
        await executor.call(STEP, work)
    assert await executor.call(STEP, lambda: 1) == 1
    await executor.stop()
    assert not threads_left()


async def test_background_tasks_go_on_between_calls_and_end_with_the_place() -> None:
    executor = LoopThreadExecutor(SpeedRecord(), "openenv-test")
    ticked, cleaned = threading.Event(), threading.Event()
    tasks: list[asyncio.Task[None]] = []

    async def background() -> None:
        try:
            while True:
                await asyncio.sleep(0)
                ticked.set()
        finally:
            await asyncio.sleep(0)  # ending may take more than one turn of the loop
            await asyncio.sleep(0)
            cleaned.set()

    async def work() -> None:
        tasks.append(asyncio.create_task(background()))

    await executor.call(STEP, work)
    ticked.clear()
    assert await asyncio.to_thread(ticked.wait, PATIENCE_S)  # no call is running
    await executor.stop()
    assert cleaned.is_set()
    assert not threads_left()


async def test_one_that_blocks_holds_up_nobody_else() -> None:
    blocked, other = (LoopThreadExecutor(SpeedRecord(), "openenv-test") for _ in range(2))
    began, gate = threading.Event(), threading.Event()

    async def work() -> bool:
        began.set()
        return gate.wait(PATIENCE_S)  # blocks its loop

    call = asyncio.create_task(blocked.call(STEP, work))
    assert await asyncio.to_thread(began.wait, PATIENCE_S)
    assert await other.call(STEP, lambda: "served") == "served"
    gate.set()
    assert await call is True
    await blocked.stop()
    await other.stop()
    assert not threads_left()


@pytest.mark.parametrize("kind", ["thread", "loop thread"])
async def test_a_thread_ends_well_though_nobody_waits_for_its_end_any_more(kind: str) -> None:
    """As where a server stops while an environment hangs; an error in a thread would be told on standard error."""
    executor = MAKERS[kind]()
    began, gate = threading.Event(), threading.Event()

    def work() -> bool:
        began.set()
        return gate.wait(PATIENCE_S)

    call = asyncio.create_task(executor.call(STEP, work))
    assert await asyncio.to_thread(began.wait, PATIENCE_S)
    stopping = asyncio.create_task(executor.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.wait([stopping])
    gate.set()
    assert await call
    assert not threads_left()
