"""An environment in a worker, asked from the server's process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from openenv.environment import EnvironmentPlan
from openenv.errors import (
    ConfigurationError,
    EnvironmentFailure,
    ExecutionFailed,
    FactoryFailed,
    InvalidRequest,
    OpenEnvError,
    RemoteProtocolError,
)
from openenv.protocol import Close, Closed, Failed, GetState, Observed, Reset, StateIs, Step
from openenv.session.hosting.host import After, Prompt
from openenv.session.hosting.placement import Placement
from openenv.session.isolation.death import WorkerDied
from openenv.session.isolation.forkserver import WorkerProcess
from openenv.session.isolation.frames import (
    ABOUT,
    RESTORE,
    SNAPSHOT,
    Frame,
    reading_about,
    reading_deadlines,
    reading_plan,
    reading_reply,
    reading_snapshot,
    request_frame,
)
from openenv.session.isolation.line import Line
from openenv.session.isolation.tool_frames import cancel_frame, offer_frame, reading_note, reading_offered

if TYPE_CHECKING:
    from openenv.tools import Note

__all__ = ["CLOSE_GRACE_S", "WorkerHost"]

CLOSE_GRACE_S = 5.0
"""Seconds that an environment's ``close`` may take, with what it was doing before, until its process is killed."""

T = TypeVar("T")


class WorkerHost:
    """A ``Host`` whose environment lives in a worker process. ``Supervisor.build`` makes one.

    Observations and states come as the values that protocol v2 carries, not as the author's classes. Every call raises
    ``WorkerDied`` once the worker is dead, but for ``close``.

    A call that is cancelled goes on in the worker, and the next one waits for it there; ``kill`` ends it.
    """

    placement = Placement.PROCESS
    prompt: Prompt | None = None

    def __init__(
        self,
        worker: WorkerProcess,
        line: Line,
        plan: EnvironmentPlan,
        leave: Callable[[WorkerProcess, bool], Awaitable[None]],
        deadlines: Mapping[str, float],
    ) -> None:
        self.deadlines = deadlines
        self._worker = worker
        self._line = line
        self._plan = plan
        self._leave = leave
        self._closed = False

    @staticmethod
    async def open(
        worker: WorkerProcess, name: str, leave: Callable[[WorkerProcess, bool], Awaitable[None]]
    ) -> WorkerHost:
        """Have an environment built in a worker.

        Args:
            worker: Where.
            name: What is built, for messages.
            leave: Called when the session has ended, with whether its environment still holds its thread.

        Raises:
            WorkerDied: It was dead before it saw the session.
            FactoryFailed, ConfigurationError: It could not be built, or cannot be served.
        """
        line = await worker.connect()
        try:
            beginning = await line.beginning
            plan = reading_plan(beginning)
        except (WorkerDied, RemoteProtocolError) as error:
            raise FactoryFailed(f"{name} could not be built: {error}") from error
        except asyncio.CancelledError:
            worker.drop(line)
            raise
        if isinstance(plan, Failed):
            worker.drop(line)
            raise _error_of(plan, FactoryFailed, ConfigurationError)
        return WorkerHost(worker, line, plan, leave, reading_deadlines(beginning) if plan.tools else {})

    @property
    def plan(self) -> EnvironmentPlan:
        """What the environment's class takes. Its types are the base types; the spec has the real ones."""
        return self._plan

    @property
    def died(self) -> str | None:
        """How the worker died, as in ``WorkerDied``; ``None``: it lives, as far as is known."""
        return self._line.died

    async def reset(self, request: Reset) -> Observed:
        """Begin an episode."""
        return self._checked(await self._line.ask(request_frame(request)), Observed)

    async def step(self, request: Step) -> Observed:
        """Take an action."""
        return self._checked(await self._line.ask(request_frame(request)), Observed)

    async def state(self) -> StateIs:
        """Where the episode stands."""
        return self._checked(await self._line.ask(request_frame(GetState())), StateIs)

    async def metadata(self) -> Any:
        """What the environment says of itself; ``None`` where that is no ``EnvironmentMetadata``."""
        about = self._read(reading_about, await self._line.ask((ABOUT, b"")))
        if isinstance(about, Failed):
            raise _error_of(about)
        return about

    async def offer(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """What MCP asks besides calls, in its shapes; raises ``InvalidRequest`` too."""
        offered = self._read(reading_offered, await self._line.ask(offer_frame(method, params)))
        if isinstance(offered, Failed):
            raise _error_of(offered, InvalidRequest)
        return offered

    def listen(self, sink: Callable[[Note], None]) -> None:
        """Tell who listens to what is said during calls; it is called before the answer."""
        self._line.on_note = lambda frame: sink(reading_note(frame))

    def cancel_call(self) -> None:
        """Ask the call that runs to end. It ends as a step, when it likes."""
        self._line.say(cancel_frame(self._line.asked))

    async def snapshot(self) -> bytes:
        """The whole state of the environment."""
        return await self._whole(SNAPSHOT, b"")

    async def restore(self, snapshot: bytes) -> None:
        """Bring the environment to the state of a snapshot."""
        await self._whole(RESTORE, snapshot)

    def expect_deadlines(self) -> None:
        """Nothing is to be done: a worker can always be ended."""

    async def interrupt(self, call: asyncio.Task[Any]) -> After:
        """End a call that takes too long, and the worker with it."""
        await self.kill("it was killed, since a request took longer than it may")
        await asyncio.wait({call})
        if not call.cancelled():
            call.exception()  # it tells of the death
        return After.GONE

    async def close(self) -> None:
        """Close the environment, and end its worker if that was its last session, all in bounded time.

        Raises:
            ExecutionFailed: The environment's ``close`` raised, or killed its process, or took over ``CLOSE_GRACE_S``
                and was ended with it. The session has ended all the same.
        """
        if self._closed:
            return
        self._closed = True
        is_stuck = self._line.died is None
        try:
            if is_stuck:
                answer = self._line.ask(request_frame(Close()))
                await asyncio.wait({answer}, timeout=CLOSE_GRACE_S)
                is_stuck = not answer.done()
                self._note_closed(answer)
        finally:
            self._worker.drop(self._line)
            await self._leave(self._worker, is_stuck)

    async def kill(self, reason: str = "its process was killed on request") -> None:
        """End the worker at once, whatever it does, with all its sessions; it is gone when this returns.

        Args:
            reason: How it died, as calls that wait will say.
        """
        await self._worker.end(reason)

    async def _whole(self, kind: int, body: bytes) -> bytes:
        answer = await self._line.ask((kind, body))
        found = self._read(lambda frame: reading_snapshot(frame, kind), answer)
        if isinstance(found, Failed):
            raise _error_of(found)
        return found

    def _note_closed(self, answer: asyncio.Future[Frame]) -> None:
        name = self._plan.name
        if not answer.done():
            answer.cancel()
            raise ExecutionFailed(f"{name} did not close within {CLOSE_GRACE_S:g} s and is ended without")
        try:
            self._checked(answer.result(), Closed)
        except WorkerDied as error:
            raise ExecutionFailed(f"{name} did not close: {error}") from error

    def _checked(self, frame: Frame, wanted: type[T]) -> T:
        """The reply, if it is one to what was asked."""
        reply = self._read(reading_reply, frame)
        if type(reply) is wanted:
            return reply
        if isinstance(reply, Failed):
            raise _error_of(reply)
        raise self._broken(f"{type(reply).__name__} instead of {wanted.__name__}")

    def _read(self, reading: Callable[[Frame], T], frame: Frame) -> T:
        try:
            return reading(frame)
        except RemoteProtocolError as error:
            raise self._broken(error.message) from None

    def _broken(self, how: str) -> WorkerDied:
        """The worker is not to be trusted any more."""
        reason = f"its process was killed: it sent what cannot be read ({how})"
        self._worker.kill(reason)
        return WorkerDied(reason)


def _error_of(failed: Failed, *allowed: type[OpenEnvError]) -> OpenEnvError:
    """The error that a worker reports, as a class that an environment may raise: it decides nothing else."""
    error = failed.to_error()
    if isinstance(error, (EnvironmentFailure, *allowed)):
        return error
    return ExecutionFailed(f"{failed.code}: {failed.message}", details=failed.details)
