"""The running episode of a session: what is legal, what the environment is asked, and what is noted of its answer."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import structs

from openenv.errors import (
    ActionInvalid,
    EnvironmentFailure,
    EpisodeLost,
    ObservationInvalid,
    OpenEnvError,
    RewardInvalid,
    StepTimeout,
)
from openenv.protocol import Observed, OutcomeIs, Reply, Reset, StateIs, Step
from openenv.session.episode.calls import Moved, Watcher, tell
from openenv.session.episode.chronicle import Chronicle
from openenv.session.episode.history import History, Move
from openenv.session.episode.lifecycle import Operation, Phase, refusal
from openenv.session.episode.survivor import Home, Survivor
from openenv.session.episode.tally import Tally
from openenv.session.hosting.host import Host, failure_of
from openenv.session.hosting.placement import Placement
from openenv.session.served.tool_actions import called_tool

if TYPE_CHECKING:
    from openenv.tools import Note

__all__ = ["Episode"]

SNAPSHOT_EVERY = 50
"""Moves after which a class that can be played again, and takes snapshots too, is asked for one."""

log = logging.getLogger("openenv.session")

T = TypeVar("T")


class Episode:
    """Asks one environment, episode after episode. One request at a time: whose turn it is, ``Session`` knows.

    Args:
        host: Where the environment lives.
        home: Gives another one when that is lost.
        session_id: Whose it is.

    Attributes:
        phase: Where it stands.
        plan: What the environment's class takes.
        chronicle: Tells the journal, if there is one.
        tally: What has come of it.
        watchers: Who hears of every move.
    """

    __slots__ = ("_environment", "_frame", "_session_id", "chronicle", "phase", "plan", "tally", "watchers")

    def __init__(self, host: Host, home: Home, session_id: str) -> None:
        self._session_id = session_id
        self.phase = Phase.FRESH
        self.plan = host.plan
        self.chronicle: Chronicle | None = None
        self.tally = Tally()
        self.watchers: list[Watcher] = []
        self._environment = Survivor(host, home)
        self._frame: tuple[Observed, str] | None = None  # the last answer, where the journal wanted its frame

    @property
    def host(self) -> Host:
        """Where the environment lives now."""
        return self._environment.host

    @property
    def is_prompt(self) -> bool:
        """Whether ``move_now`` may be asked: the environment answers at once, and nothing else is to be waited for."""
        if self._environment.host.prompt is None or self.phase is Phase.LOST:
            return False
        chronicle = self.chronicle
        return chronicle is None or (chronicle.is_prompt and not self.plan.snapshots)

    @property
    def can_come_back(self) -> bool:
        """Whether the journal has all that another server needs to go on with it."""
        return self.chronicle is not None and (self.phase is Phase.FRESH or self._environment.history.is_whole)

    def admit(self, operation: Operation) -> None:
        """Raise what forbids an operation now."""
        if self.phase is Phase.LOST and operation is not Operation.RESET:
            loss = self._environment.lost
            if loss is not None:
                raise EpisodeLost(loss.message, details=dict(loss.details))
        error = refusal(self.plan.lifecycle, self.phase, operation)
        if error is not None:
            raise error

    async def move(self, request: Move, key: str) -> Observed:
        """Begin an episode or take an action.

        Args:
            request: What is asked, which was admitted.
            key: Idempotency key that it came with; empty without one.

        Raises:
            ActionInvalid: Refused; the environment did not move.
            ExecutionFailed, ObservationInvalid, RewardInvalid: The environment's own failure.
            StepTimeout: It did not answer in time.
            EpisodeLost: It is gone.
        """
        began = time.time()
        if self.chronicle is not None:
            self.chronicle.check()
        before = self.phase
        if isinstance(request, Reset):
            if self.phase is Phase.LOST:
                await self._environment.renew()
                before = Phase.FRESH
            request, self.phase = self._seeded(request), Phase.FRESH
        elif self.plan.tools and self._environment.host.deadlines:
            request = _in_time(request, self._environment.host.deadlines)
        try:
            answer = await self._environment.move(request)
        except OpenEnvError as error:
            if self._refused(error, before):
                raise
            await self._write(request, error, key, began)
            raise
        self._answered(request, answer)
        await self._write(request, answer, key, began)
        return answer

    def move_now(self, request: Move) -> Observed:
        """``move`` where ``is_prompt``. What the journal took is in its file once ``Chronicle.flush`` was called."""
        # in one function: here every call costs as much as what it does
        chronicle, environment, before, began = self.chronicle, self._environment, self.phase, 0.0
        if chronicle is not None:
            began = time.time()
            chronicle.check()
        if isinstance(request, Reset):
            request, self.phase = self._seeded(request), Phase.FRESH
        prompt = environment.host.prompt
        assert prompt is not None
        try:
            answer = prompt(request)
        except BaseException as raised:  # noqa: BLE001 - whatever the author's code raises, also sys.exit
            error = raised if isinstance(raised, EnvironmentFailure) else failure_of(raised)
            environment.has_moved = environment.has_moved or not isinstance(error, ActionInvalid)
            if not self._refused(error, before) and self._note(request, error):
                self.tally.failed(request, error)
                if chronicle is not None:
                    chronicle.moved_now(request, error, began=began)
                self._tell(request, error, began)
            raise error from raised.__cause__ if error is raised else raised
        environment.has_moved = True
        self.phase = Phase.DONE if answer.done else Phase.RUNNING
        answer.session, answer.id = request.session or self._session_id, request.id
        tally, reward = self.tally, answer.reward
        if isinstance(request, Reset):
            environment.is_unsure = False
            answer.seed, answer.episode_id = request.seed, request.episode_id
            tally.begun(request)
        else:  # as in Tally.answered
            tally.steps += 1
            tally.reward = reward
            if reward is not None:
                tally.total += reward
        if answer.done:
            tally.ended = answer.terminated, answer.truncated
        if self.plan.deterministic:
            self._note(request, answer)
        if chronicle is not None:
            self._frame = answer, chronicle.moved_now(request, answer, began=began)
        if self.watchers:
            self._tell(request, answer, began)
        return answer

    def begin_together(self) -> None:
        """Raise ``RecordError`` if nothing can be kept; else it may take part in a ``step_together``."""
        if self.chronicle is not None:
            self.chronicle.check()

    def stepped_together(self, request: Step, answer: Observed | EnvironmentFailure, began: float) -> None:
        """Take note of what came of it. The journal is to be waited for."""
        if not isinstance(answer, ActionInvalid):
            self._environment.has_moved = True
        if isinstance(answer, EnvironmentFailure):
            if self._refused(answer, self.phase):
                return
        else:
            self._answered(request, answer)
        if not self._note(request, answer):
            return
        if isinstance(answer, EnvironmentFailure):
            self.tally.failed(request, answer)
        if self.chronicle is not None:
            frame = self.chronicle.moved_now(request, answer, began=began)
            self._frame = (answer, frame) if isinstance(answer, Observed) else None
        self._tell(request, answer, began)

    def framed(self, reply: Reply) -> str | None:
        """The frame of the reply that was answered last, where it was made for the journal already."""
        return self._frame[1] if self._frame is not None and self._frame[0] is reply else None

    def _seeded(self, request: Reset) -> Reset:
        if self.plan.lifecycle != "strict":
            return request
        return structs.replace(
            request,
            seed=secrets.randbits(32) if request.seed is None else request.seed,
            episode_id=secrets.token_hex(8) if request.episode_id is None else request.episode_id,
        )

    def _refused(self, error: OpenEnvError, before: Phase) -> bool:
        """See where a move that failed leaves the episode; whether it never reached the environment."""
        if isinstance(error, ActionInvalid | EpisodeLost):
            if isinstance(error, ActionInvalid):
                self.phase = before
            self._look()
            return True
        self._look()
        if isinstance(error, RewardInvalid):
            self.phase = Phase.DONE if error.details["done"] else Phase.RUNNING
        elif isinstance(error, ObservationInvalid):
            self.phase = Phase.RUNNING
        return False

    def _answered(self, request: Move, answer: Observed) -> None:
        self.phase = Phase.DONE if answer.done else Phase.RUNNING
        answer.session, answer.id = request.session or self._session_id, request.id
        if isinstance(request, Reset):
            answer.seed, answer.episode_id = request.seed, request.episode_id
        self.tally.answered(request, answer)

    def _tell(self, request: Move, answer: Observed | OpenEnvError, began: float) -> None:
        """Tell who watches; to be called last: they may have it written, which changes it into text."""
        if self.watchers:
            now, tally = time.time(), self.tally
            began = began or now
            tell(self.watchers, Moved(request, answer, tally.moves - 1, tally.episode_id or "", began, now - began))

    def _note(self, request: Move, answer: Observed | OpenEnvError) -> bool:
        """Remember a move, if it can be played again; whether the journal is to hear of it."""
        environment, plan = self._environment, self.plan
        if plan.deterministic and not (isinstance(answer, StepTimeout) or environment.is_unsure):
            environment.history.take(request, answer, plan.volatile, proves=self._proves)
        # a time-out that was undone is no move: asked again, it runs
        return not (isinstance(answer, StepTimeout) and answer.details["usable"] and not environment.is_unsure)

    @property
    def _proves(self) -> bool:
        """Whether its process may die, so that answers are to be compared when the episode is played again."""
        return self._environment.host.placement is Placement.PROCESS

    async def _write(self, request: Move, answer: Observed | OpenEnvError, key: str, began: float) -> None:
        if not self._note(request, answer):
            return
        if isinstance(answer, OpenEnvError):
            self.tally.failed(request, answer)
        if self.chronicle is not None:
            frame = await self.chronicle.moved(request, answer, key=key, began=began)
            self._frame = (answer, frame) if isinstance(answer, Observed) else None
        self._tell(request, answer, began)
        if self.plan.snapshots and (self._proves or self.chronicle is not None) and self.phase is not Phase.LOST:
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

    async def state(self) -> StateIs:
        """Where the episode stands.

        Raises:
            ExecutionFailed: ``state`` raised, or gave what is no state.
        """
        return await self._safely(self._environment.state())

    async def metadata(self) -> Any:
        """What the environment says of itself."""
        return await self._safely(self._environment.metadata())

    async def offer(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """What MCP asks besides calls, in its shapes; nothing moves by it.

        Raises:
            InvalidRequest: There is no such thing.
        """
        return await self._safely(self._environment.offer(method, params))

    def listen(self, sink: Callable[[Note], None]) -> None:
        """Tell who listens to what is said during calls."""
        self._environment.listen(sink)

    def outcome(self) -> OutcomeIs:
        """What has come of it so far."""
        return self.tally.outcome(self.phase)

    async def close(self) -> None:
        """Close the environment, unless it is gone."""
        await self._environment.close()

    async def snapshot(self) -> bytes:
        """The whole state of the environment."""
        return await self._safely(self._environment.snapshot())

    @property
    def history(self) -> History:
        """The moves that bring another environment to where this one stands, as far as they are known."""
        return self._environment.history

    def stand(self, history: History, phase: Phase, tally: Tally) -> None:
        """Take note of where the environment stands that this session was given."""
        self.phase, self.tally = phase, tally
        self._environment.stand(history)

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


def _in_time(request: Step, deadlines: Mapping[str, float]) -> Step:
    """The step with the time that the tool it calls may take, if it has one and less was not asked for."""
    limit_s = deadlines.get(called_tool(request.action) or "")
    if limit_s is None or (request.timeout_s is not None and request.timeout_s <= limit_s):
        return request
    return structs.replace(request, timeout_s=limit_s)
