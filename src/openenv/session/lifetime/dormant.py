"""Sessions that were open when the server ended before, until their clients come back."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from openenv.errors import OpenEnvError, StepTimeout
from openenv.protocol import Failed, Observed, Reset, Step, V2ClientCodec, V2ServerCodec
from openenv.record import Answered, Position, Snapshotted
from openenv.session.episode.agent_key import AgentKey
from openenv.session.episode.chronicle import FORM, digest
from openenv.session.episode.history import History
from openenv.session.episode.lifecycle import Phase
from openenv.session.episode.tally import Tally

if TYPE_CHECKING:
    from openenv.record import Journal, Recovered

__all__ = ["Dormant", "Remembered"]

_requests, _replies = V2ServerCodec(), V2ClientCodec()


@dataclass
class Remembered:
    """A session as the journal knows it.

    Attributes:
        id: Its id.
        episode: Id of its episode.
        token_digest: Digest of its token.
        environment: What exactly was served.
        history: The moves of its episode.
        phase: Where it stands after them.
        highest: Highest number of its requests.
        numbered: Its last answers by number, as frames.
        keyed: Its last answers by idempotency key.
        index: Number of the last move in the episode, counted from its reset, which is 0.
        tally: What had come of the episode.
        begun_at: Where the journal has its first move, or something before.
        is_whole: Whether nothing happened in it that cannot be played again.
    """

    id: str
    episode: str
    token_digest: bytes
    environment: dict[str, Any]
    history: History
    phase: Phase
    highest: int
    numbered: dict[int, tuple[str | None, str | bytes | None]]
    keyed: dict[str, Observed | Failed]
    index: int = -1
    tally: Tally = field(default_factory=Tally)
    begun_at: Position = 0
    is_whole: bool = True


class Dormant:
    """The sessions of a journal that had not ended. Each is taken once, or forgotten when its lease is over.

    Args:
        journal: Where they are kept.
        lease_s: Seconds until one is forgotten.
        clock: Monotonic seconds.
    """

    def __init__(self, journal: Journal, lease_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._journal = journal
        self._sessions: dict[str, Recovered] = dict(journal.recovered)
        self._by_nonce = {
            one.opening.nonce_digest: name for name, one in self._sessions.items() if one.opening.nonce_digest
        }
        self._clock = clock
        self._over_at = clock() + lease_s

    def __len__(self) -> int:
        """How many there are."""
        return len(self._sessions)

    def has(self, session: str, token: str | None = None) -> bool:
        """Whether that session is there; with a token: and it is its own."""
        found = self._sessions.get(session)
        return found is not None and (token is None or hmac.compare_digest(found.opening.token_digest, digest(token)))

    def agent_key(self, session: str) -> AgentKey | None:
        """What its agents show, if that session is there."""
        found = self._sessions.get(session)
        if found is None:
            return None
        return AgentKey(session, found.opening.token_digest, Tally.ordinal_of(found.resets))

    def by_nonce(self, nonce: str) -> str | None:
        """The session that was opened with this nonce, also once it was taken or forgotten."""
        return self._by_nonce.get(digest(nonce)) if self._by_nonce else None

    @property
    def nonces(self) -> list[bytes]:
        """Digests of the nonces that they were opened with."""
        return [*self._by_nonce]

    def over(self) -> list[str]:
        """Those whose lease is over, which are forgotten by that."""
        if not self._sessions or self._clock() < self._over_at:
            return []
        names = [*self._sessions]
        self._sessions.clear()
        return names

    def take(self, session: str, volatile: frozenset[str]) -> Remembered:
        """Read what the journal has of a session.

        Raises:
            RecordError: It cannot be read.
        """
        found = self._sessions.pop(session)
        made = Remembered(
            id=session,
            episode=found.episode,
            token_digest=found.opening.token_digest,
            environment=found.opening.environment,
            history=History(),
            phase=Phase.FRESH,
            highest=found.highest_id,
            numbered={},
            keyed={},
            begun_at=found.opened_at if found.reset is None else found.reset,
        )
        for position in found.earlier:
            self._count(made, self._journal.read(position))
        if found.snapshot is not None:
            entry = self._journal.read(found.snapshot)
            assert isinstance(entry, Snapshotted)
            made.history.rebase(entry.data)
        for position in found.replay:
            self._play(made, self._journal.read(position), volatile)
        made.tally.resets = found.resets
        made.index = found.first_index + len(found.replay) - 1
        made.is_whole = made.is_whole and made.history.is_whole
        for kept in found.numbered:
            entry = self._journal.read(kept.position)
            if isinstance(entry, Answered) and kept.id:
                made.numbered[kept.id] = FORM, entry.reply.decode()
        for kept in found.keyed:
            entry = self._journal.read(kept.position)
            if isinstance(entry, Answered):
                made.keyed[kept.key] = _answer(entry)
        return made

    def _count(self, made: Remembered, entry: object) -> tuple[Reset | Step, Observed | Failed]:
        """Count an answer; the move and what was answered."""
        assert isinstance(entry, Answered)
        move, reply = _requests.decode(entry.request), _answer(entry)
        assert isinstance(move, Reset | Step)
        if isinstance(reply, Observed):
            made.tally.answered(move, reply)
            made.phase = Phase.DONE if reply.done else Phase.RUNNING
        else:
            made.tally.failed(move, reply.to_error())
            if "done" in reply.details:
                made.phase = Phase.DONE if reply.details["done"] else Phase.RUNNING
        return move, reply

    def _play(self, made: Remembered, entry: object, volatile: frozenset[str]) -> None:
        move, reply = self._count(made, entry)
        answer: Observed | OpenEnvError
        if isinstance(reply, Observed):
            answer = reply
        else:
            answer = reply.to_error()
            made.is_whole = made.is_whole and reply.code != StepTimeout.code  # it may have moved, nobody knows how far
        made.history.take(move, answer, volatile, proves=True)


def _answer(entry: Answered) -> Observed | Failed:
    reply = _replies.decode(entry.reply)
    assert isinstance(reply, Observed | Failed)
    return reply
