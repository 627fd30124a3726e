"""What the journal is told of one session."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any

from openenv.errors import OpenEnvError
from openenv.protocol import Failed, Observed, Reset, Step, V2ClientCodec, V2ServerCodec
from openenv.record import Answered, AnswerKind, Journal, SessionEnded, SessionOpened, Snapshotted

__all__ = ["FORM", "Chronicle", "digest", "token_of"]

FORM = V2ServerCodec.subprotocol
"""The form in which requests and replies are kept."""

_requests, _replies = V2ClientCodec(), V2ServerCodec()


def digest(secret: str) -> bytes:
    """What is kept of a nonce or token."""
    return hashlib.sha256(secret.encode()).digest()


def token_of(nonce: str, session_id: str) -> str:
    """The token of a session that was opened by a nonce. Who has the nonce may know it anyway."""
    mac = hmac.digest(nonce.encode(), session_id.encode(), "sha256")
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


class Chronicle:
    """Tells a journal what happens in one session. Errors of the journal are ``RecordError``.

    Args:
        journal: Where it goes.
        session: Id of the session.
        episode: Id of the episode that is running.
        index: Number of the last move in it, counted from its reset, which is 0.
    """

    def __init__(self, journal: Journal, session: str, episode: str = "", index: int = -1) -> None:
        self._journal = journal
        self._session = session
        self._episode = episode
        self._index = index

    def check(self) -> None:
        """Raise ``RecordError`` if nothing more can be written: what cannot be kept is not begun."""
        if self._journal.failure is not None:
            raise self._journal.failure

    async def opened(self, nonce: str, token: str, environment: dict[str, Any]) -> None:
        """The session began."""
        entry = SessionOpened(self._session, digest(nonce) if nonce else b"", digest(token), environment, time.time())
        await self._journal.written(self._journal.append(entry))

    async def moved(
        self, request: Reset | Step, answer: Observed | OpenEnvError, *, key: str, began: float
    ) -> str | None:
        """The environment was asked and has answered; the frame of the answer, if it is one."""
        frame = _replies.encode(answer if isinstance(answer, Observed) else Failed.of(answer, request))
        if isinstance(request, Reset):
            self._episode, self._index = request.episode_id or "", -1
        self._index += 1
        kind: AnswerKind = (
            "error" if isinstance(answer, OpenEnvError) else "reset" if isinstance(request, Reset) else "step"
        )
        asked = _requests.encode(request).encode()
        now = time.time()
        entry = Answered(self._session, request.id, key, kind, asked, frame.encode(), began, now - began, self._episode)
        await self._journal.written(self._journal.append(entry))
        return frame if isinstance(answer, Observed) else None

    async def snapshot(self, data: bytes) -> None:
        """The environment gave a snapshot of where it stands."""
        entry = Snapshotted(self._session, self._episode, self._index, data)
        await self._journal.written(self._journal.append(entry))

    def ended(self, reason: str) -> None:
        """The session has ended."""
        if self._journal.failure is None:
            self._journal.append(SessionEnded(self._session, reason, time.time()))
