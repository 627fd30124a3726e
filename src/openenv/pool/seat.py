"""One of a pool's sessions: its episode, and which session of which server plays it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any

from openenv.client.address import Address
from openenv.client.breaks import Break, lost
from openenv.errors import (
    EpisodeDone,
    EpisodeLost,
    LocalProtocolError,
    OpenEnvError,
    RequestTimeout,
    ResetNeeded,
    SessionClosed,
)
from openenv.pool.beginning import Beginning
from openenv.pool.endpoint import Carrying, Endpoint
from openenv.pool.events import PoolEvent
from openenv.pool.terms import Terms
from openenv.protocol import FEATURE_OF, Request, Reset, Step
from openenv.types import StepResult

__all__ = ["Deliver", "Seat"]

Deliver = Callable[[Any, OpenEnvError | None], None]
"""Is given what came of a request: a ``StepResult`` or a state, an error, or both."""


class _Episode(Enum):
    NONE = "none was begun"
    RUNNING = "there is one"
    OVER = "it came to its end"
    LOST = "it was lost"


class Seat:
    """Plays one episode after another, on whatever server takes it; one request at a time.

    An episode stays on its session. If that is gone the episode is lost, and the next one begins on another session.

    Attributes:
        index: Which of the pool's it is.
    """

    def __init__(self, index: int, terms: Terms) -> None:
        self.index = index
        self._terms = terms
        self._endpoint: Endpoint | None = None
        self._trunk: Carrying | None = None
        self._session: Any = None
        self._episode, self._why_lost = _Episode.NONE, "unknown"
        self._deliver: Deliver | None = None
        self._asked_at = 0.0
        self._options: dict[str, Any] = {}  # of the last reset
        self._beginning: Beginning | None = None
        self._is_early = False  # the beginning is one nobody has asked for yet
        self._early: StepResult[Any] | None = None  # what came of such a one
        self._after_early: Callable[[], None] | None = None
        self._ended: tuple[StepResult[Any] | None, OpenEnvError | None] = (None, None)  # same_step: by what
        self._is_giving_up = False

    @property
    def is_free(self) -> bool:
        """Whether no episode is running, and nothing is waited for."""
        return self._deliver is None and self._episode is not _Episode.RUNNING

    # What is asked -------------------------------------------------------------------------------

    def reset(self, request: Reset, deliver: Deliver) -> None:
        """Begin an episode."""
        self._ask(deliver, partial(self._reset, request))

    def step(self, request: Step, deliver: Deliver) -> None:
        """Take an action; with autoreset begin an episode instead, where the last is over."""
        if self._is_early:
            self._ask(deliver, partial(self._step, request))
        else:
            self._deliver = deliver
            self._step(request)

    def look(self, request: Request, deliver: Deliver) -> None:
        """Tell what the episode has come to: a request that moves nothing."""
        self._ask(deliver, partial(self._look, request))

    @property
    def address(self) -> Address:
        """Of the server that plays its episode."""
        assert self._endpoint is not None
        return self._endpoint.options.address

    def check_free(self) -> None:
        """Raise ``LocalProtocolError`` while it waits for an answer."""
        if self._deliver is not None:
            raise LocalProtocolError(f"session {self.index} waits for an answer already; ask it again after that")

    def give_up(self, why: Break, message: str) -> None:
        """Wait no longer: what was asked fails, and the episode is lost."""
        if self._deliver is None:
            return
        beginning = self._beginning
        if self._after_early is not None:
            self._after_early = None
            self._answer(RequestTimeout(message))
        elif beginning is not None and beginning.timer is not None:
            beginning.timer.cancel()
            self._over(beginning, RequestTimeout(message))
        elif self._trunk is not None:
            self._is_giving_up = True
            self._trunk.give_up(self._session, why, message)
            self._is_giving_up = False

    def close(self) -> None:
        """Wait no longer to try again; what is asked of a server, its connection ends."""
        beginning = self._beginning
        if beginning is not None and beginning.timer is not None:
            beginning.timer.cancel()
            self._over(beginning, SessionClosed("the pool was closed while the session waited for a place"))

    def _ask(self, deliver: Deliver, what: Callable[[], None]) -> None:
        self._deliver = deliver
        if self._is_early:
            self._after_early = what
        else:
            what()

    def _answer(self, answer: Any, error: OpenEnvError | None = None) -> None:
        if isinstance(answer, OpenEnvError):
            answer, error = None, answer
        deliver, self._deliver = self._deliver, None
        if deliver is not None:
            deliver(answer, error)

    # Steps ---------------------------------------------------------------------------------------

    def _step(self, request: Step) -> None:
        session = self._session
        if session is not None and session.error is not None and self._episode is _Episode.RUNNING:
            self._lose(session.error)
        elif self._episode in (_Episode.OVER, _Episode.LOST) and self._terms.autoreset != "disabled":
            self._next_episode()
        elif self._episode is _Episode.LOST:
            self._answer(lost(self._why_lost, "it ended in an earlier call"))
        elif self._episode is _Episode.NONE:
            self._answer(ResetNeeded(f"session {self.index} has no episode; call reset() first"))
        elif self._early is not None:  # on the server the next one has begun
            self._answer(EpisodeDone("the episode is over; call reset() to begin another"))
        else:
            assert self._trunk is not None
            self._asked_at = self._terms.clock()
            self._trunk.ask(session, request, self._stepped)

    def _stepped(self, answer: StepResult[Any] | OpenEnvError) -> None:
        terms = self._terms
        terms.tally.took(terms.clock() - self._asked_at)
        if isinstance(answer, OpenEnvError):
            if isinstance(answer, EpisodeLost) or self._session.error is not None:
                self._lose(answer)
            else:
                terms.tally.errors += 1
                self._answer(answer)
            return
        terms.tally.steps += 1
        if not answer.done:
            self._answer(answer)
            return
        self._episode = _Episode.OVER
        self._end(answer, None)

    def _lose(self, error: OpenEnvError) -> None:
        """The episode ended without its end."""
        if self._endpoint is not None:
            self._endpoint.note()
        error = _as_lost(error)
        self._episode, self._why_lost = _Episode.LOST, _reason(error)
        self._terms.tally.errors += 1
        self._terms.tally.lost += 1
        self._terms.tell(PoolEvent("lost", self.index, "" if self._endpoint is None else self._endpoint.url))
        self._end(None, error)

    def _end(self, result: StepResult[Any] | None, error: OpenEnvError | None) -> None:
        """Answer with the end of an episode, and begin the next one if that is to be done now."""
        if self._is_giving_up:
            self._answer(result, error)
        elif self._terms.autoreset == "same_step":
            self._ended = (result, error)
            self._begin(Reset(options=self._options), self._began_in_same_step)
        elif self._terms.prefetch_resets:
            self._answer(result, error)
            self._is_early = True
            self._begin(Reset(options=self._options), self._began_early)
        else:
            self._answer(result, error)

    def _look(self, request: Request) -> None:
        if self._session is None:
            self._answer(ResetNeeded(f"session {self.index} has no episode; call reset() first"))
        elif self._episode is _Episode.LOST:
            self._answer(lost(self._why_lost, "it ended in an earlier call"))
        elif self._session.error is not None:
            self._answer(_as_lost(self._session.error))
        elif not self._knows(request):
            self._answer(LocalProtocolError(f"the server of session {self.index} is older and cannot tell that"))
        else:
            assert self._trunk is not None
            self._trunk.ask(self._session, request, self._answer)

    def _knows(self, request: Request) -> bool:
        """Whether the server does."""
        assert self._endpoint is not None
        hello, feature = self._endpoint.hello, FEATURE_OF.get(type(request))
        return feature is None or (hello is not None and feature in hello.features)

    # Episodes that begin -------------------------------------------------------------------------

    def _reset(self, request: Reset) -> None:
        early, self._early = self._early, None
        is_any = request.seed is None and request.episode_id is None and request.options == self._options
        self._options = request.options
        if early is not None and is_any and self._session.error is None:
            self._answer(self._run(early))
        else:
            self._begin(request, self._answer)

    def _next_episode(self) -> None:
        early, self._early = self._early, None
        if early is not None and self._session.error is None:
            self._answer(self._run(early))
        else:
            self._begin(Reset(options=self._options), self._answer)

    def _run(self, first: StepResult[Any]) -> StepResult[Any]:
        self._episode = _Episode.OVER if first.done else _Episode.RUNNING
        return first

    def _began_early(self, answer: StepResult[Any] | OpenEnvError) -> None:
        self._is_early = False
        if isinstance(answer, StepResult):  # else it is tried again when somebody wants it
            self._early, self._episode = answer, _Episode.OVER
        after, self._after_early = self._after_early, None
        if after is not None:
            after()

    def _began_in_same_step(self, answer: StepResult[Any] | OpenEnvError) -> None:
        (result, error), self._ended = self._ended, (None, None)
        if isinstance(answer, OpenEnvError):
            self._answer(result, error or answer)
        elif result is None:
            self._answer(answer, error)
        else:
            final = {"final_obs": result.observation, "final_info": result.metadata}
            told = StepResult(
                observation=answer.observation,
                reward=result.reward,
                done=result.done,
                terminated=result.terminated,
                truncated=result.truncated,
                metadata={**answer.metadata, **final},
            )
            self._answer(told)

    def _begin(self, request: Reset, then: Callable[[StepResult[Any] | OpenEnvError], None]) -> None:
        until = self._terms.clock() + self._terms.queue_timeout_s
        self._beginning = Beginning(request, then, until)
        self._try()

    def _try(self) -> None:
        """Ask for the episode, on the session there is or on one that is opened where there is most room."""
        beginning, terms = self._beginning, self._terms
        assert beginning is not None
        beginning.timer = None
        chosen: Endpoint | None = None
        if self._session is not None and self._session.error is None:
            assert self._endpoint is not None
            chosen = terms.placement.relief(self._endpoint)
            if chosen is not None:
                assert self._trunk is not None
                self._trunk.end(self._session)
        if self._session is None or self._session.error is not None:
            self._endpoint = chosen or terms.placement.choose(beginning.tried)
            assert self._endpoint is not None
            waits_s = max(0.0, beginning.queue_until - terms.clock())
            self._trunk, self._session = self._endpoint.new_session(waits_s, self.index)
        assert self._trunk is not None
        self._asked_at = terms.clock()
        self._trunk.ask(self._session, beginning.request, self._began)

    def _began(self, answer: StepResult[Any] | OpenEnvError) -> None:
        beginning, terms = self._beginning, self._terms
        assert beginning is not None
        assert self._endpoint is not None
        if isinstance(answer, OpenEnvError):
            self._endpoint.note()
            if not self._is_giving_up and self._tries_again(beginning, answer):
                return
            self._over(beginning, answer)
            return
        terms.tally.took(terms.clock() - self._asked_at)
        terms.tally.resets += 1
        self._beginning = None
        beginning.then(self._run(answer))

    def _over(self, beginning: Beginning, error: OpenEnvError) -> None:
        """The episode did not begin."""
        self._beginning = None
        self._terms.tally.errors += 1
        session = self._session
        if isinstance(error, EpisodeLost) or (session is not None and session.error is not None):
            gone = self._episode is not _Episode.NONE
            self._episode = _Episode.LOST if gone else _Episode.NONE
            self._why_lost = _reason(error)
        beginning.then(error)

    def _tries_again(self, beginning: Beginning, error: OpenEnvError) -> bool:
        """Whether the episode is to begin elsewhere or later; nothing is lost by that."""
        assert self._endpoint is not None
        if self._session.error is None:
            return False
        pause_s = beginning.pause_after(error, self._endpoint, self._terms)
        if pause_s is None:
            return False
        if pause_s:
            beginning.timer = asyncio.get_running_loop().call_later(pause_s, self._try)
        else:
            self._try()
        return True


def _as_lost(error: OpenEnvError) -> EpisodeLost:
    return error if isinstance(error, EpisodeLost) else lost("connection_lost", error.message)


def _reason(error: OpenEnvError) -> str:
    return str(error.details.get("reason", "unknown"))
