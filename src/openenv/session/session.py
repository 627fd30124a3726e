"""One life of one environment: opened, asked in turn, closed once."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from msgspec import structs

from openenv.environment import EnvironmentPlan
from openenv.errors import (
    ActionInvalid,
    EpisodeLost,
    NotRestorable,
    ObservationInvalid,
    OpenEnvError,
    RewardInvalid,
    StepTimeout,
)
from openenv.protocol import Failed, Observed, Reply, Reset, StateIs, Step
from openenv.session.chronicle import Chronicle, digest, token_of
from openenv.session.departed import Ending, gone, lost
from openenv.session.history import Diverged, History, Move, evidence
from openenv.session.host import Host
from openenv.session.isolation import WorkerDied
from openenv.session.lifecycle import Operation, Phase, refusal
from openenv.session.once import KeyedRequests, NumberedRequests
from openenv.session.placement import Placement
from openenv.session.survivor import Home, Survivor

__all__ = ["Session"]

SNAPSHOT_EVERY = 50
"""Moves after which a class that can be played again, and takes snapshots too, is asked for one."""

log = logging.getLogger("openenv.session")

T = TypeVar("T")


class Session:
    """Server-side life of one environment. Requests take turns; every call goes to one host.

    After ``close`` every request is refused, with ``SessionClosed`` or, where it was not its
    client that closed it, with ``EpisodeLost``.

    Attributes:
        id: Its name; who knows it can send it single requests.
        token: What a connection has to show to go on with it.
        token_digest: All that is known of the token where another server made it.
        chronicle: Tells the journal, if there is one.
        recalled: Answers of before the server was started again, by idempotency key.
        phase: Where it stands.
        requests: How many were asked of the environment.
        numbered: The requests that came over connections.
        keyed: Those that came with a key, as HTTP status and body.
        ending: Why it ended or is about to.

    Args:
        host: Where its environment lives.
        home: Gives it another one when that is lost.
        session_id: Its name; drawn if empty.
        nonce: What it was opened with; its token follows from it, so that it can be told again.
    """

    def __init__(self, host: Host, home: Home, *, session_id: str = "", nonce: str = "") -> None:
        self.id = session_id or secrets.token_hex(8)
        self.token = token_of(nonce, self.id) if nonce else secrets.token_urlsafe(24)
        self.token_digest = digest(self.token)
        self.chronicle: Chronicle | None = None
        self.recalled: dict[str, Observed | Failed] = {}
        self.phase = Phase.FRESH
        self.requests = 0
        self.numbered: NumberedRequests[tuple[str | None, str | bytes | None]] = NumberedRequests()
        self.keyed: KeyedRequests[tuple[int, bytes]] = KeyedRequests()
        self.ending: Ending | None = None
        self._environment = Survivor(host, home)
        self._frame: tuple[Observed, str] | None = None  # the last answer, where the journal wanted its frame
        self._turn = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None
        self._on_closed: list[Callable[[Session], None]] = []

    @property
    def placement(self) -> Placement:
        """Where the environment lives."""
        return self._environment.host.placement

    @property
    def _proves(self) -> bool:
        """Whether its process may die, so that answers are to be compared when the episode is played again."""
        return self.placement is Placement.PROCESS

    @property
    def answers_at_once(self) -> bool:
        """Whether requests are answered without giving the event loop to others in between."""
        return self._environment.host.immediate

    @property
    def is_busy(self) -> bool:
        """Whether a request is running or waiting for its turn."""
        return self._turn.locked()

    @property
    def is_ending(self) -> bool:
        """Whether it was closed, or is about to be after the running request."""
        return self._closing is not None

    @property
    def can_come_back(self) -> bool:
        """Whether the journal has all that another server needs to go on with it."""
        history = self._environment.history
        return self.chronicle is not None and (self.phase is Phase.FRESH or history.is_whole)

    @property
    def plan(self) -> EnvironmentPlan:
        """What the environment's class takes."""
        return self._environment.plan

    async def reset(self, request: Reset, key: str = "") -> Observed:
        """Begin an episode. A strict environment always gets a seed and an episode id, drawn if not given.

        After a loss this is what goes on, with another environment.

        Raises:
            ActionInvalid: An option that ``reset`` does not take.
            ExecutionFailed, ObservationInvalid, RewardInvalid: The environment's own failure.
            StepTimeout: It did not answer in time.
            EpisodeLost: It died of it.
        """
        async with self._turn:
            self._admit(Operation.RESET)
            if self.phase is Phase.LOST:
                await self._environment.renew()
                self.phase = Phase.FRESH
            if self.plan.lifecycle == "strict":
                request = structs.replace(
                    request,
                    seed=secrets.randbits(32) if request.seed is None else request.seed,
                    episode_id=secrets.token_hex(8) if request.episode_id is None else request.episode_id,
                )
            before, self.phase = self.phase, Phase.FRESH
            try:
                return await self._move(request, key)
            except ActionInvalid:  # refused before the environment moved
                self.phase = before
                raise

    async def step(self, request: Step, key: str = "") -> Observed:
        """Take an action. An action that does not fit is refused before the environment moves.

        Raises:
            ResetNeeded, EpisodeDone, ActionInvalid: Refused; the environment did not move.
            ExecutionFailed: The environment raised.
            ObservationInvalid, RewardInvalid: The step has counted, its answer could not be used.
            StepTimeout: It did not answer in time; ``details["usable"]`` says whether the episode goes on.
            EpisodeLost: The environment is gone.
        """
        async with self._turn:
            self._admit(Operation.STEP)
            return await self._move(request, key)

    async def state(self) -> StateIs:
        """Where the episode stands.

        Raises:
            ExecutionFailed: ``state`` raised, or gave what is no state.
        """
        async with self._turn:
            self._admit(Operation.STATE)
            return await self._safely(self._environment.state())

    async def metadata(self) -> Any:
        """What the environment says of itself."""
        async with self._turn:
            self._admit(Operation.STATE)
            return await self._safely(self._environment.metadata())

    def when_closed(self, callback: Callable[[Session], None]) -> None:
        """Have ``callback`` called once the environment is closed, whoever closes it and whether or not that raised."""
        self._on_closed.append(callback)

    def forget(self, callback: Callable[[Session], None]) -> None:
        """Do not call it any more."""
        if callback in self._on_closed:
            self._on_closed.remove(callback)

    async def turn(self) -> None:
        """Wait until the requests that came before have been answered."""
        async with self._turn:
            pass

    async def close(self, ending: Ending = Ending.CLOSED) -> None:
        """Close the environment after the running request, once; later calls wait for the same close.

        Args:
            ending: Why. The first one counts.

        Raises:
            ExecutionFailed: The environment's ``close`` raised. The session has ended all the same.
        """
        await asyncio.shield(self.begin_close(ending))

    def begin_close(self, ending: Ending) -> asyncio.Task[None]:
        """``close`` without waiting: the session is ending from now on; the task is done when it has."""
        if self._closing is None:
            self.ending = ending
            # a task of its own: a caller that is cancelled must not leave the environment half closed
            self._closing = asyncio.create_task(self._close())
        return self._closing

    async def _close(self) -> None:
        async with self._turn:
            self.phase = Phase.CLOSED
            try:
                await self._environment.close()
            finally:
                for callback in list(self._on_closed):
                    callback(self)

    def _admit(self, operation: Operation) -> None:
        self.requests += 1
        if self.phase is Phase.CLOSED and self.ending not in (None, Ending.CLOSED):
            raise gone(self.ending)
        loss = self._environment.lost
        if loss is not None and self.phase is Phase.LOST and operation is not Operation.RESET:
            raise EpisodeLost(loss.message, details=dict(loss.details))
        error = refusal(self.plan.lifecycle, self.phase, operation)
        if error is not None:
            raise error

    async def _move(self, request: Move, key: str) -> Observed:
        """Ask the environment, with the phase, the history and the record that follow from its answer."""
        began = time.time()
        if self.chronicle is not None:
            self.chronicle.check()
        try:
            reply = await self._environment.move(request)
        except (ActionInvalid, EpisodeLost):  # refused before the environment moved; there is none any more
            self._look()
            raise
        except OpenEnvError as error:
            self._look()
            if isinstance(error, RewardInvalid):
                self.phase = Phase.DONE if error.details["done"] else Phase.RUNNING
            elif isinstance(error, ObservationInvalid):
                self.phase = Phase.RUNNING
            await self._note(request, error, key, began)
            raise
        self.phase = Phase.DONE if reply.done else Phase.RUNNING
        reply.session, reply.id = request.session or self.id, request.id
        if isinstance(request, Reset):
            reply.seed, reply.episode_id = request.seed, request.episode_id
        await self._note(request, reply, key, began)
        return reply

    def framed(self, reply: Reply) -> str | None:
        """The frame of the reply that was answered last, where it was made for the journal already."""
        return self._frame[1] if self._frame is not None and self._frame[0] is reply else None

    async def _note(self, request: Move, answer: Observed | OpenEnvError, key: str, began: float) -> None:
        plan, history = self.plan, self._environment.history
        if plan.deterministic and not (isinstance(answer, StepTimeout) or self._environment.is_unsure):
            history.add(request, evidence(answer, plan.volatile) if self._proves else None, plan.volatile)
        if isinstance(answer, StepTimeout) and answer.details["usable"] and not self._environment.is_unsure:
            return  # it was undone: asked again, it runs
        if self.chronicle is not None:
            frame = await self.chronicle.moved(request, answer, key=key, began=began)
            self._frame = (answer, frame) if isinstance(answer, Observed) and frame is not None else None
        if plan.snapshots and (self._proves or self.chronicle is not None) and self.phase is not Phase.LOST:
            await self._keep_snapshot()

    async def _keep_snapshot(self) -> None:
        """Have what follows begin at a snapshot: always, or of a class that can be played now and then."""
        if self.plan.deterministic and len(self._environment.history.moves) < SNAPSHOT_EVERY:
            return
        try:
            data = await self._environment.snapshot()
        except OpenEnvError:
            log.exception("a snapshot of %s failed; its episode cannot be restored", self.plan.name)
            self._environment.history.spoil()
            return
        self._environment.history.rebase(data)
        if self.chronicle is not None:
            await self.chronicle.snapshot(data)

    async def branch(self) -> tuple[History, Phase]:
        """What brings another environment to where this one stands.

        Raises:
            NotRestorable: Its class neither is deterministic nor takes snapshots.
            EpisodeLost, SessionClosed: There is nothing to branch.
        """
        async with self._turn:
            self._admit(Operation.STATE)
            if self.phase is Phase.FRESH:
                return History(), self.phase
            if self.plan.snapshots:
                history = History()
                history.rebase(await self._safely(self._environment.snapshot()))
                return history, self.phase
            if not self._environment.history.is_whole:
                raise NotRestorable(
                    f"an episode of {self.plan.name} cannot be branched: set deterministic = True if the same seed and "
                    "actions always give the same answers, or write snapshot() and restore()"
                )
            return self._environment.history.copy(), self.phase

    def stand(self, history: History, phase: Phase) -> None:
        """Take note of where the environment stands that this session was given."""
        self.phase = phase
        self._environment.stand(history)

    async def follow(self, other: Session) -> None:
        """Bring the environment, which is fresh, to where another session's stands.

        Raises:
            NotRestorable, EpisodeLost, SessionClosed: As ``branch`` does.
            EpisodeLost: Played again, the episode went another way.
        """
        history, phase = await other.branch()
        if history.snapshot is not None:  # the journal cannot tell how it came to stand there
            self.chronicle = None
        try:
            await history.play(self._environment.host, self._tell_again)
        except (Diverged, WorkerDied) as error:
            raise lost(Ending.DIVERGED, str(error)) from error
        self.stand(history, phase)

    async def _tell_again(self, move: Move, answer: Observed | OpenEnvError) -> None:
        if self.chronicle is not None:
            await self.chronicle.moved(structs.replace(move, id=0), answer, key="", began=time.time())

    async def _safely(self, call: Awaitable[T]) -> T:
        """Await a call to the environment; note if it is lost by that."""
        try:
            return await call
        finally:
            self._look()

    def _look(self) -> None:
        """See whether the environment is gone."""
        if self._environment.lost is not None:
            self.phase = Phase.LOST
