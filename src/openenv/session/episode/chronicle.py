"""What the journal is told of one session."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from openenv.errors import OpenEnvError, RecordError
from openenv.protocol import Failed, Observed, Reset, Step, V2ClientCodec, V2ServerCodec
from openenv.record import Answered, AnswerKind, Position, SessionEnded, SessionOpened, Snapshotted

if TYPE_CHECKING:
    from openenv.record import Journal

__all__ = ["FORM", "Chronicle", "digest", "token_of"]

FORM = V2ServerCodec.subprotocol
"""The form in which requests and replies are kept."""

_encode = msgspec.json.Encoder().encode
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
        begun_at: Where the journal has its first move, or something before.

    Attributes:
        directory: Where the journal is.
        begun_at: Where it has the first move of the running episode, or something before.
        is_prompt: Whether ``flush`` brings what was taken to where it is safe, so that nobody has to wait.
        flush: Have everything written now; why that is not so, if it is not.
    """

    def __init__(
        self, journal: Journal, session: str, episode: str = "", index: int = -1, begun_at: Position = 0
    ) -> None:
        self._journal = journal
        self.directory, self.begun_at = journal.directory, begun_at
        self.flush = journal.flush_now
        self.is_prompt = journal.mode == "relaxed"
        self._session = session
        self._last: Position = 0  # of what was taken last
        self._episode = episode
        self._index = index

    def check(self) -> None:
        """Raise ``RecordError`` if nothing more can be written: what cannot be kept is not begun."""
        if self._journal.failure is not None:
            raise self._journal.failure

    async def settled(self) -> RecordError | None:
        """Wait until all that was taken is where the mode promises it to be; why that is not so, if it is not."""
        try:
            await self._journal.written(self._last)
        except RecordError as error:
            return error
        return None

    async def opened(self, nonce: str, token: str, environment: dict[str, Any]) -> None:
        """The session began."""
        entry = SessionOpened(self._session, digest(nonce) if nonce else b"", digest(token), environment, time.time())
        self.begun_at = self._journal.append(entry)
        await self._journal.written(self.begun_at)

    async def moved(self, request: Reset | Step, answer: Observed | OpenEnvError, *, key: str, began: float) -> str:
        """The environment was asked and has answered; the frame of the answer."""
        frame = self.moved_now(request, answer, key=key, began=began)
        await self._journal.written(self._last)
        return frame

    def moved_now(self, request: Reset | Step, answer: Observed | OpenEnvError, *, key: str = "", began: float) -> str:
        """``moved`` where ``is_prompt``; it is in the file once ``flush`` was called."""
        # in one function: here every call costs as much as what it does
        kind: AnswerKind = "step"
        if type(request) is Reset:
            self._episode, self._index, kind = request.episode_id or "", -1, "reset"
            asked = _requests.encode(request).encode()
        elif type(request.action) is Raw and not request.options:  # type: ignore[union-attr]  # a step in plain JSON
            asked = _encode(request)
        else:
            asked = _requests.encode(request).encode()
        self._index += 1
        if isinstance(answer, Observed):
            frame = _replies.encode(answer)
        else:
            frame, kind = _replies.encode(Failed.of(answer, request)), "error"
        self._last = self._journal.append(
            Answered(
                self._session, request.id, key, kind, asked, frame.encode(), began, time.time() - began, self._episode
            )
        )
        if kind == "reset":
            self.begun_at = self._last
        return frame

    async def snapshot(self, data: bytes) -> None:
        """The environment gave a snapshot of where it stands."""
        entry = Snapshotted(self._session, self._episode, self._index, data)
        await self._journal.written(self._journal.append(entry))

    def ended(self, reason: str) -> None:
        """The session has ended."""
        if self._journal.failure is None:
            self._journal.append(SessionEnded(self._session, reason, time.time()))
