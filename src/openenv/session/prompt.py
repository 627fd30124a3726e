"""Moves that are answered at once: environment in the server's thread, nobody before them, nothing to wait for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from time import perf_counter

from openenv.errors import OpenEnvError
from openenv.protocol import Failed, Open, Reply, Request, Reset, ServerCodec, Step
from openenv.session.episode.chronicle import Chronicle
from openenv.session.served.tool_actions import asks_for_list
from openenv.session.session import Session

__all__ = ["LATER", "Frame", "Kept", "Later", "PromptMoves", "unforeseen"]

log = logging.getLogger("openenv.session")

Frame = str | bytes
Kept = tuple[str | None, Frame | None]  # a reply's form, by subprotocol, and the reply


class Later(Enum):
    """What is told of a request that cannot be answered at once."""

    LATER = "ask Peer.answer"


LATER = Later.LATER

AT_ONCE_S = 0.020
"""Seconds that the moves of one frame may take before others have their turn."""

_MOVES = (Step, Reset)


class PromptMoves:
    """The short way of a step, without a task: what most steps of a fast environment need, and nothing else.

    Args:
        codec: The version that is spoken on the connection.
        sessions: Those that the connection holds.
        framed: Makes the frame of a reply.
    """

    def __init__(
        self, codec: ServerCodec, sessions: Mapping[str, Session], framed: Callable[[Reply, Request], Kept]
    ) -> None:
        self._codec, self._sessions, self._framed = codec, sessions, framed

    def answer(self, request: Request) -> Frame | Later | None:
        """The answer to a move that is done at once.

        For anything else it is ``LATER``, and nothing has happened: ``Peer.answer`` is to be asked.
        """
        session = self._taken_in(request)
        if type(session) is not Session:
            return session  # type: ignore[return-value]  # or what else it may be
        kept = self._framed(self._moved(session, request), request)
        chronicle = session.episode.chronicle
        if chronicle is not None and (failure := chronicle.flush()) is not None:
            kept = self._framed(Failed.of(failure, request), request)
        if request.id:
            session.numbered.finish(request.id, kept)
        return kept[1]

    def answer_all(self, requests: Sequence[Request | OpenEnvError]) -> list[Frame | Later | None]:
        """``answer`` for several, one after the other; what their journal takes is written at once.

        Returns:
            The answers to as many as ``AT_ONCE_S`` allows, at least one; of the others nothing has happened.
        """
        moved: list[tuple[int, Session, Request, Kept]] = []
        found: list[Frame | Later | None] = [LATER] * len(requests)
        waiting: set[str] = set()  # sessions of which something is to be answered later
        chronicle: Chronicle | None = None
        until = perf_counter() + AT_ONCE_S
        for index, request in enumerate(requests):
            if index and perf_counter() > until:
                del found[index:]
                break
            if isinstance(request, OpenEnvError) or request.session in waiting:
                continue
            session = LATER if self._goes_together(request) else self._taken_in(request)
            if isinstance(session, Session):
                # encoded now: the environment may use its objects again for its next answer
                moved.append((index, session, request, self._framed(self._moved(session, request), request)))
                chronicle = session.episode.chronicle or chronicle
            elif session is LATER:
                waiting.add(request.session)
            else:
                found[index] = session
        failure = chronicle.flush() if chronicle is not None else None
        for index, session, request, kept in moved:
            unkept = failure is not None and session.episode.chronicle is not None
            told = self._framed(Failed.of(failure, request), request) if failure and unkept else kept
            if request.id:
                session.numbered.finish(request.id, told)
            found[index] = told[1]
        return found

    def _goes_together(self, request: Request) -> bool:
        """Whether ``step_together`` is better for it."""
        session = self._sessions.get(request.session)
        return session is not None and session.plan.batches and isinstance(request, Step)

    def _taken_in(self, request: Request) -> Session | Frame | Later | None:
        """The session, if it is to do this move now; the answer, if that is known; or ``LATER``."""
        if not isinstance(request, _MOVES) or request.timeout_s is not None:
            return LATER
        session = self._sessions.get(request.session)
        if session is None or not session.is_prompt:
            return LATER
        if session.has_tools and isinstance(request, Step) and asks_for_list(request.action):
            return LATER
        try:
            return session if request.id == 0 or session.numbered.begin(request) else LATER
        except OpenEnvError as error:
            return self._codec.encode(Failed.of(error, request))

    def _moved(self, session: Session, request: Request) -> Reply:
        try:
            return session.move_now(request)  # type: ignore[arg-type]  # it was taken in
        except OpenEnvError as error:
            return Failed.of(error, request)
        except Exception as error:  # noqa: BLE001 - what nobody foresaw must be an answer too, or the client waits
            return unforeseen(error, request)


def unforeseen(error: Exception, request: Request) -> Failed:
    """The answer where the server itself failed."""
    log.error("a request failed inside the server", exc_info=error)
    told = OpenEnvError(f"the server failed: {type(error).__name__}: {error}")
    if isinstance(request, Open):
        told.details["nonce"] = request.nonce
    return Failed.of(told, request)
