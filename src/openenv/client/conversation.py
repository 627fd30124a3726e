"""One session as its client sees it, without I/O: what may be asked, what an answer means, what a break costs."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from openenv.client.asking import check_time, reset_of
from openenv.client.breaks import Break, Broken, Gone, lost, reason_of
from openenv.client.episode import Episode
from openenv.client.link import Link
from openenv.client.moves import Ask, Moves, Pause
from openenv.client.options import ClientOptions
from openenv.client.patience import growing_pauses
from openenv.client.values import Values
from openenv.errors import (
    CapacityReached,
    ConnectFailed,
    ConnectionLost,
    EpisodeLost,
    FactoryFailed,
    LocalProtocolError,
    MessageTooLarge,
    OpenEnvError,
    RemoteProtocolError,
    RequestTimeout,
    SessionClosed,
)
from openenv.protocol import Failed, GetOutcome, GetState, Hello, Observed, Reply, Request, Reset, StateIs, Step
from openenv.types import ActT, ObsT, StateT, StepResult

__all__ = ["Conversation"]

R = TypeVar("R", bound=Reply)
log = logging.getLogger("openenv.client")


class Conversation(Generic[ActT, ObsT, StateT]):
    """Holds a client to the promise that an episode goes on or is said to be lost, never silently begun anew.

    After an episode was lost, every request but ``reset`` raises ``EpisodeLost``, ``outcome`` only where the session is
    gone too. After ``closed``, every one but ``reset`` raises ``SessionClosed``. What is to be done, it gives as moves,
    which both kinds of client make.

    Args:
        options: What the user set.
        clock: Seconds that rise.
        chance: From 0 to 1, for the pauses between attempts to connect.
    """

    def __init__(
        self,
        options: ClientOptions,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._options = options
        self._values: Values[ActT, ObsT, StateT] = options.values
        self._episode = self._before = Episode.NONE
        self._why_lost = ""
        self._turn = threading.Lock()  # of a synchronous client two threads may ask at the same moment
        self._is_ending = False
        self.interrupted = threading.Event()
        self._link = Link(options, self.go_on, clock, chance)

    # Whose turn it is ----------------------------------------------------------------------------

    def try_turn(self, timeout_s: float = 0.0) -> bool:
        """Take the turn to ask; False while another call has it."""
        if not self._turn.acquire(timeout_s > 0, timeout_s or -1):
            return False
        if self.interrupted.is_set():
            self.interrupted.clear()
        return True

    def begin_turn(self) -> None:
        """Take the turn to ask; raises ``LocalProtocolError`` while another call has it."""
        if not self.try_turn():
            raise LocalProtocolError("this client waits for an answer already; use one client per session")

    def end_turn(self) -> None:
        """Give the turn back."""
        self._turn.release()

    def interrupt(self) -> bool:
        """Make the call that has the turn raise ``SessionClosed``, once it wakes; False if it is itself an end."""
        if self._is_ending:
            return False
        self.interrupted.set()
        return True

    def go_on(self) -> None:
        """Raise ``SessionClosed`` if the client was closed by another thread or task since the turn was taken."""
        if self.interrupted.is_set():
            raise SessionClosed("this client was closed while it waited for an answer")

    # What a call does ----------------------------------------------------------------------------

    def connect(self) -> Moves[None]:
        """Be connected, with a session."""
        yield from self._notice()
        yield from self._link.or_hung_up(self._with_place(None, None))

    def ask(self, request: Request, timeout_s: float | None) -> Moves[Reply]:
        """The answer to a request; ``timeout_s`` is the request's own, ``None``: as for any message."""
        yield from self._notice()
        self._admit(request)
        reply = yield from self._with_place(request, timeout_s or self._options.message_timeout_s)
        assert reply is not None
        return reply

    def ask_at_once(self, request: Request) -> Ask | None:
        """The first move of ``ask`` where nothing comes before it, as nearly always; else ``None``.

        If it gives an ``Observed``, that is the answer and it was the only one; if not, the rest is ``asked``.
        """
        if (
            type(request) is not Step
            or self._episode is not Episode.RUNNING
            or request.timeout_s is not None
            or self._options.message_timeout_s is not None
        ):
            return None
        return self._link.ask_at_once(request)

    def asked(self, request: Request, asked: Ask) -> Moves[Reply]:
        """The moves of ``ask`` from the one that ``ask_at_once`` gave, which is the first again."""
        assert asked.frame is not None
        self._before = self._episode
        try:
            return self._placed((yield from self._link.answer(asked.frame, None)))
        except Gone as gone:
            raise self._lost(gone) from gone
        except BaseException as error:  # cancellation too: what it did to the episode is to be noted
            self._tell(error, request, had_session=True)
            raise

    def end(self) -> Moves[None]:
        """End the session and the connection."""
        self._is_ending = True
        try:
            with suppress(Gone):
                yield from self._link.look()
            yield from self._link.end()
        finally:
            self._is_ending = False

    def branch(self, options: ClientOptions) -> Conversation[ActT, ObsT, StateT]:
        """The conversation of a session that is to begin where this one stands.

        Raises:
            EpisodeLost, SessionClosed: This one stands nowhere.
            LocalProtocolError: There is no session yet, or the server cannot fork one.
        """
        self._admit(GetState())
        connection = self._link.line.connection
        if not self._link.has_session or (connection is not None and not connection.has("fork")):
            raise LocalProtocolError("there is no session to fork, or its server cannot; call reset() first")
        made = type(self)(options)
        made._link.branch(self._link)
        made._episode = self._episode
        return made

    def closed(self) -> None:
        """Note that the client was closed."""
        self._episode = Episode.CLOSED

    @property
    def hello(self) -> Hello | None:
        """The server's greeting on this connection; ``None`` without one, and in v1."""
        return self._link.line.hello

    def _notice(self) -> Moves[None]:
        """Let go of a connection that ended while nobody asked, and of the episode if that ended with it."""
        try:
            ended = yield from self._link.look()
        except Gone as gone:
            log.info("connecting anew: %s", self._lost(gone))
            return
        if ended is not None:
            log.info("connecting anew: %s", self._told(ended, None, had_session=True))

    def _with_place(self, request: Request | None, timeout_s: float | None) -> Moves[Reply | None]:
        """Attempt it, and again while the session that this client gave up may still hold its place."""
        pauses = growing_pauses(self._options.connect_timeout_s, lambda: self._link.left_place)
        while True:
            try:
                return (yield from self._attempt(request, timeout_s))
            except CapacityReached:
                pause_s = next(pauses, None)
                if pause_s is None:
                    self._link.left_place = False  # who waited in vain is told at once the next time
                    raise
            yield Pause(pause_s)
            self.go_on()
            yield from self._notice()

    def _attempt(self, request: Request | None, timeout_s: float | None) -> Moves[Reply | None]:
        """Ask, and once more on another session where nothing is lost by that."""
        had_session = self._link.has_session
        had_episode = self._episode in (Episode.RUNNING, Episode.BEGINNING, Episode.LOST)
        was_lost = self._episode is Episode.LOST
        try:
            return (yield from self._once(request, timeout_s))
        except Gone as gone:
            told = lost(self._why_lost, "its session has ended too") if was_lost else self._lost(gone)
            if isinstance(request, Step) or (had_episode and not isinstance(request, Reset | None)):
                raise told from gone
            log.info("opening another session: %s", gone)
        except ConnectionLost:
            if not (isinstance(request, Reset) and had_session):
                raise
            # a connection from before may be gone without a sign; a reset can begin on a new one
        try:
            return (yield from self._once(request, timeout_s))
        except Gone as gone:
            raise self._lost(gone) from gone

    def _once(self, request: Request | None, timeout_s: float | None) -> Moves[Reply | None]:
        link, had_session = self._link, self._link.has_session
        try:
            deadline = link.line.deadline(timeout_s)
            if (yield from link.reach(deadline)):
                deadline = link.line.deadline(timeout_s)  # to open a session is not the request's work
            if isinstance(request, Reset | Step) and request.timeout_s is not None:
                deadline = link.line.own_deadline(timeout_s)
            had_session = True
            if self._episode is Episode.CLOSED:
                self._episode = Episode.NONE
            if request is None:
                return None
            frame = link.frame(request)
            self._before = self._episode
            if isinstance(request, Reset) or (isinstance(request, Step) and self._episode is Episode.NONE):
                self._episode = Episode.BEGINNING
            return self._placed((yield from link.answer(frame, deadline)))
        except Gone:
            raise
        except BaseException as error:  # cancellation too: what it did to the episode is to be noted
            self._tell(error, request, had_session=had_session)
            raise

    def _placed(self, reply: Reply) -> Reply:
        """The same reply; raises ``CapacityReached`` if by it a v1 server, which opens no sessions, says it is full."""
        if isinstance(reply, Failed) and reply.code == CapacityReached.code and self._link.line.is_v1:
            self.expected(reply, Observed)
        self._link.left_place = False
        return reply

    # Asking --------------------------------------------------------------------------------------

    def reset(
        self, seed: int | None, episode_id: str | None, timeout_s: float | None, options: dict[str, Any]
    ) -> Reset:
        """The request that begins an episode."""
        return reset_of(seed, episode_id, timeout_s, options)

    def step(self, action: ActT, timeout_s: float | None, options: dict[str, Any]) -> Step:
        """The request that takes an action."""
        if timeout_s is not None:
            check_time(timeout_s)
        return Step(action=self._values.encode_action(action), timeout_s=timeout_s, options=options)

    def _admit(self, request: Request) -> None:
        """Raise ``EpisodeLost`` or ``SessionClosed`` where only a reset may follow and this is none.

        What has come of a lost episode can be asked as long as its session is there.
        """
        if isinstance(request, Reset):
            return
        if self._episode is Episode.LOST and isinstance(request, GetOutcome) and self._link.has_session:
            return
        if self._episode is Episode.LOST:
            raise lost(self._why_lost, "it ended in an earlier call")
        if self._episode is Episode.CLOSED:
            raise SessionClosed("this client was closed; reset() connects again and begins a new episode")

    # Answers -------------------------------------------------------------------------------------

    def result(self, reply: Reply) -> StepResult[ObsT]:
        """The answer to ``reset`` or ``step``, or the error the server raised."""
        return self._values.decode_result(self.moved(reply))

    def moved(self, reply: Reply) -> Observed:
        """The same as it came."""
        observed = self.expected(reply, Observed)
        self._episode = Episode.RUNNING
        return observed

    def looked(self, reply: Reply) -> Observed:
        """The answer to a step that moves nothing, such as the question which tools there are."""
        if self._episode is Episode.BEGINNING:
            self._episode = self._before
        return self.expected(reply, Observed)

    def state(self, reply: Reply) -> StateT:
        """The answer to ``state``."""
        return self._values.decode_state(self.expected(reply, StateIs).state)

    def _told(self, error: BaseException, request: Request | None, *, had_session: bool) -> BaseException:
        """Note that a request ended without its answer; the error to tell it with."""
        why, message = reason_of(error), str(error)
        was = self._episode
        if was in (Episode.RUNNING, Episode.BEGINNING):  # it may have begun: another must not begin unasked
            self._episode, self._why_lost = Episode.LOST, why.value
        if not isinstance(error, Broken):
            return error
        if was is Episode.RUNNING and not isinstance(request, Reset):
            return lost(why.value, message)
        if why is Break.TIMEOUT:
            return RequestTimeout(message)
        if why is Break.MESSAGE_TOO_LARGE:
            return MessageTooLarge(message)
        return ConnectionLost(message) if had_session else ConnectFailed(f"no session could be opened: {message}")

    def _tell(self, error: BaseException, request: Request | None, *, had_session: bool) -> None:
        """Raise what tells a request's end without its answer, if that is not the error itself; notes it."""
        if isinstance(error, OpenEnvError) and not isinstance(error, RemoteProtocolError | SessionClosed):
            return
        told = self._told(error, request, had_session=had_session)
        if told is not error:
            raise told from error

    def _lost(self, gone: Gone) -> OpenEnvError:
        """Note that the session is over; the error to tell it with."""
        if self._episode in (Episode.RUNNING, Episode.BEGINNING):
            self._episode, self._why_lost = Episode.LOST, gone.reason
            return gone.error
        return ConnectionLost(str(gone))

    def expected(self, reply: Reply, kind: type[R]) -> R:
        """The answer, which is of that kind, or the error the server raised."""
        if isinstance(reply, kind):
            return reply
        if self._episode is Episode.BEGINNING:
            self._episode = self._before
        if not isinstance(reply, Failed):
            raise RemoteProtocolError(f"expected {kind.__name__}, the server answered {type(reply).__name__}")
        error = reply.to_error()
        if isinstance(error, EpisodeLost):
            self._episode, self._why_lost = Episode.LOST, str(error.details.get("reason", "unknown"))
        if isinstance(error, CapacityReached | FactoryFailed) and self._link.line.is_v1:
            self._link.no_session()  # v1 says so where the session should have begun
        raise error
