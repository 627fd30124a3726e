"""One session in a worker: reads a request, asks the environment, writes the reply."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import socket
from collections.abc import Coroutine
from typing import Any, NoReturn

from openenv.errors import ExecutionFailed, FactoryFailed, ObservationInvalid, OpenEnvError
from openenv.protocol import Close, Closed, GetState, Reset, Step
from openenv.session.hosting.executors import InlineLoopExecutor
from openenv.session.hosting.host import Host, LocalHost
from openenv.session.hosting.hosted import HostedEnvironment
from openenv.session.hosting.placement import SpeedRecord
from openenv.session.isolation.death import OVER_MEMORY
from openenv.session.isolation.frames import (
    ABOUT,
    OFFER,
    RESTORE,
    SNAPSHOT,
    Frame,
    about_frame,
    built_frame,
    reading_request,
    reply_frame,
)
from openenv.session.isolation.tool_frames import offered_frame, reading_offer
from openenv.session.isolation.ways import AwaitedWay, BlockingWay
from openenv.session.served.outcome import told
from openenv.session.served.spec import EnvironmentSpec

__all__ = ["serve_session"]

_GRACE_S = 5.0
"""Seconds that tasks an environment left behind are given to end once they are cancelled."""

log = logging.getLogger("openenv.session")


def serve_session(way: socket.socket, spec: EnvironmentSpec) -> None:
    """Build an environment and answer for it on this thread until it is closed, or the other end is.

    A class that is awaited, or needs an event loop to be built, gets one.
    """
    try:
        hosted = None if spec.plan is not None and spec.plan.is_async else _built(spec)
        if hosted is None:
            _run(_serve_awaited(way, spec))
        else:
            _serve(way, hosted)
    except MemoryError:  # not the environment's own, which is answered: there is too little left to answer
        _out_of_memory()
    except OpenEnvError as error:
        BlockingWay(way).send(reply_frame(error))
    except OSError:
        log.debug("the server is gone, or has dropped the session", exc_info=True)
    finally:
        way.close()


def _built(spec: EnvironmentSpec) -> HostedEnvironment | None:
    """The environment; ``None`` if it needs an event loop from its first moment."""
    try:
        hosted = HostedEnvironment(spec)
    except FactoryFailed as error:
        if isinstance(error.__cause__, RuntimeError) and "no running event loop" in str(error.__cause__):
            return None
        raise
    if not hosted.plan.is_async:
        return hosted
    try:
        hosted.close()
    except OpenEnvError:
        log.exception("closing the first environment of %s failed; it is built again with an event loop", spec.name)
    return None


def _serve(way: socket.socket, hosted: HostedEnvironment) -> None:
    own, line = os.getpid(), BlockingWay(way)
    if hosted.plan.tools:
        hosted.attend(line.note, line.is_cancelled)
    line.send(built_frame(hosted.plan, hosted.deadlines()))
    closed = False
    while not closed:
        frame = line.next()
        if frame is None:
            hosted.close()
            return
        try:
            asked, closed = _asked(hosted, frame)
            reply = _reply(frame, asked)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for an answer
            reply = reply_frame(_error(error))
        if os.getpid() != own:  # the environment forked, and this is the copy: the session is not its own
            os._exit(0)
        line.send(reply)


async def _serve_awaited(way: socket.socket, spec: EnvironmentSpec) -> None:
    own = os.getpid()
    way.setblocking(False)
    line = AwaitedWay(way)
    try:
        host = await LocalHost.build(spec, InlineLoopExecutor(SpeedRecord()))
    except OpenEnvError as error:
        await line.send(reply_frame(error))
        line.close()
        return
    host.listen(line.note)
    host.look, line.on_cancel = line.look, host.cancel_call
    await line.send(built_frame(host.plan, host.deadlines))
    closed = False
    while not closed:
        frame = await line.next()
        if frame is None:
            await host.close()
            break
        try:
            asked, closed = _asked(host, frame)
            reply = _reply(frame, await (_unwanted(host, asked) if line.is_unwanted else asked))
        except MemoryError:
            raise
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - as above; nobody but it cancels this task
            reply = reply_frame(_error(error))
        if os.getpid() != own:
            os._exit(0)
        await line.send(reply)
    line.close()


async def _unwanted(host: LocalHost, asked: Coroutine[Any, Any, Any]) -> Any:
    """The answer to a call that was cancelled before it began."""
    call = asyncio.ensure_future(asked)
    await asyncio.sleep(0)
    host.cancel_call()
    return await call


def _asked(host: HostedEnvironment | Host, frame: Frame) -> tuple[Any, bool]:
    """What the environment answers, to be awaited where it is, and whether that ends the session."""
    if frame[0] == ABOUT:
        return host.metadata(), False
    if frame[0] == SNAPSHOT:
        return host.snapshot(), False
    if frame[0] == RESTORE:
        return host.restore(frame[1]), False
    if frame[0] == OFFER:
        return host.offer(*reading_offer(frame)), False
    match reading_request(frame):
        case Step() as request:
            return host.step(request), False
        case Reset() as request:
            return host.reset(request), False
        case GetState():
            return host.state(), False
        case Close():
            return _closing(host), True
        case request:
            raise ExecutionFailed(f"an environment is not asked for {type(request).__name__}")


def _closing(host: HostedEnvironment | Host) -> Any:
    """Close it; what that raises is told, and the session has ended all the same."""
    if not isinstance(host, HostedEnvironment):
        return _closing_awaited(host)
    try:
        host.close()
    except OpenEnvError as error:
        return error
    return Closed()


async def _closing_awaited(host: Host) -> Closed | OpenEnvError:
    try:
        await host.close()
    except OpenEnvError as error:
        return error
    return Closed()


def _reply(frame: Frame, answer: Any) -> Frame:
    if frame[0] == ABOUT:
        return about_frame(answer)
    if frame[0] == OFFER:
        return offered_frame(answer)
    if frame[0] in (SNAPSHOT, RESTORE):
        return frame[0], answer or b""
    if inspect.iscoroutine(answer):
        answer.close()  # or Python would warn that it was never awaited
        raise ObservationInvalid(
            "a synchronous method returned a coroutine; name it reset_async or step_async, so that it is awaited",
            details={"reward": None, "done": None},
        )
    return reply_frame(answer)


def _error(error: BaseException) -> OpenEnvError:
    if isinstance(error, OpenEnvError):
        return error
    return ExecutionFailed(told(error), details={"exception": type(error).__name__})


def _out_of_memory() -> NoReturn:
    os._exit(OVER_MEMORY)


def _run(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in an event loop of this thread that nothing an environment's own tasks raise can end."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    task = loop.create_task(main)
    task.add_done_callback(lambda _: loop.stop())
    try:
        while not task.done():
            _guarded(loop.run_forever)
        _guarded(lambda: loop.run_until_complete(_end_tasks()))
    finally:
        loop.close()
    task.result()


def _guarded(run: Any) -> None:
    try:
        run()
    except (SystemExit, KeyboardInterrupt) as error:  # of a task; whoever awaits it gets it too
        log.warning("a task of an environment raised %s", told(error))


async def _end_tasks() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=_GRACE_S)
    await asyncio.get_running_loop().shutdown_asyncgens()
