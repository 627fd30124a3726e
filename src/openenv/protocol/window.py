"""The ids of one session's requests: what is new, what runs, what was answered and may be asked for again."""

from __future__ import annotations

from enum import Enum
from typing import Generic, TypeVar

from openenv.errors import SessionBusy, StaleRequest

__all__ = ["WINDOW", "Admission", "ReplyWindow"]

WINDOW = 32
"""Requests of one session that may be unacknowledged at the same time."""


T = TypeVar("T")


class Admission(Enum):
    """What to do with a request."""

    FRESH = "run it"
    RUNNING = "wait for the run that is under way"
    ANSWERED = "send the kept reply again"


class ReplyWindow(Generic[T]):
    """Makes a resent request run once.

    A request with an id is *admitted* when it arrives and *finished* with its reply, in whatever form that is kept.
    The reply is kept until the client acknowledges it, so that a resend is answered without a second run.
    """

    def __init__(self, size: int = WINDOW) -> None:
        self._size = size
        self._highest = 0
        self._acknowledged = 0
        self._replies: dict[int, T | None] = {}  # None: running
        self._is_restored = False

    @property
    def highest(self) -> int:
        """Highest id that was asked."""
        return self._highest

    def restore(self, highest: int, replies: dict[int, T]) -> None:
        """Go on where another window stood, as far as that is known: later ids may have been asked and answered."""
        self._highest, self._replies, self._is_restored = highest, dict(replies), True

    def admit(self, request_id: int, ack: int) -> Admission:
        """Decide about an arriving request. ``ack`` is the highest id whose reply the client has.

        Raises:
            StaleRequest: Its reply was acknowledged, or a later id came before it.
            SessionBusy: The window is full of requests that were not acknowledged.
        """
        replies = self._replies
        if ack == self._highest and request_id == ack + 1 and len(replies) == 1 and replies.get(ack) is not None:
            # as nearly all are: the next one, and the one before has been answered
            self._acknowledged, self._highest, self._replies = ack, request_id, {request_id: None}
            return Admission.FRESH
        self._acknowledge(ack)
        if request_id in self._replies:
            return Admission.RUNNING if self._replies[request_id] is None else Admission.ANSWERED
        if request_id <= self._highest:
            raise StaleRequest(f"request {request_id} is over: {self._highest} was already asked")
        if len(self._replies) >= self._size:
            raise SessionBusy(
                f"{self._size} requests of this session are unacknowledged; read replies and send a higher ack"
            )
        self._highest = request_id
        self._replies[request_id] = None
        return Admission.FRESH

    def finish(self, request_id: int, reply: T) -> None:
        """Keep the reply of an admitted request, unless it was acknowledged while it ran."""
        if request_id <= self._acknowledged:
            self._replies.pop(request_id, None)
        elif request_id in self._replies:
            self._replies[request_id] = reply

    def reply(self, request_id: int) -> T:
        """The kept reply of a request that ``admit`` called ANSWERED."""
        found = self._replies[request_id]
        if found is None:
            raise LookupError(f"request {request_id} has no reply yet")
        return found

    def _acknowledge(self, ack: int) -> None:
        if ack > self._highest and self._is_restored:
            self._highest = ack
        if ack > self._highest:
            raise StaleRequest(f"ack {ack} is for a request that never came; the highest is {self._highest}")
        if ack > self._acknowledged:
            self._acknowledged = ack
            done = [i for i, reply in self._replies.items() if i <= ack and reply is not None]
            for request_id in done:
                del self._replies[request_id]
