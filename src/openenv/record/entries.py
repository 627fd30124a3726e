"""What a server's journal says: one class for each kind of entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec

from openenv.errors import RecordError

__all__ = [
    "NO_FORM",
    "AnswerKind",
    "Answered",
    "Began",
    "Entry",
    "Position",
    "SessionEnded",
    "SessionOpened",
    "Snapshotted",
    "Stopped",
    "decode_entry",
    "encode_entry",
    "formless",
]

Position: TypeAlias = int
"""Where an entry is: the number of its file times 2**40, and its first byte there. Later entries have higher ones."""

AnswerKind = Literal["reset", "step", "close", "error"]


class _Entry(msgspec.Struct, frozen=True, array_like=True, tag_field="entry"):
    """Fields are stored in their order, without names: new ones go to the end and have a default."""


class SessionOpened(_Entry, frozen=True, tag="opened"):
    """A session began.

    Attributes:
        session: Its id.
        nonce_digest: SHA-256 of the nonce that opened it, 32 bytes; empty if there was none. Never the nonce itself.
        token_digest: SHA-256 of its resume token, 32 bytes. Never the token itself.
        environment: The environment lock: what exactly was served, of JSON values. Its ``name`` is shown to users.
        at: Seconds since 1970 (UTC).
    """

    session: str
    nonce_digest: bytes
    token_digest: bytes
    environment: dict[str, Any]
    at: float


class Answered(_Entry, frozen=True, tag="answered", gc=False):
    """A request that was accepted, and its reply.

    Attributes:
        session: Id of the session.
        id: Number of the request in its session, 0 where it has none.
        key: Its idempotency key, or empty.
        kind: What was answered: ``error`` stands for a reset or step that was answered with an error.
        request: JSON with tagged objects, in UTF-8: the fields of ``Event.request``, or a frame of protocol v2.
        reply: The same for ``Event.reply``.
        at: When the request was accepted, in seconds since 1970 (UTC).
        duration_s: Time from there to its reply, in seconds.
        episode: Id of the episode, as the session knows it; may be empty.
    """

    session: str
    id: int
    key: str
    kind: AnswerKind
    request: bytes
    reply: bytes
    at: float
    duration_s: float
    episode: str


class Snapshotted(_Entry, frozen=True, tag="snapshot"):
    """The environment's own snapshot of an episode.

    Attributes:
        session: Id of the session.
        episode: Id of the episode.
        index: Number of the last answered request that it contains, counted from the episode's reset, which is 0.
            Errors count.
        data: The snapshot.
    """

    session: str
    episode: str
    index: int
    data: bytes


class SessionEnded(_Entry, frozen=True, tag="ended"):
    """A session ended and will not come back.

    Attributes:
        session: Id of the session.
        reason: Why, such as ``closed`` or ``worker_died``.
        at: Seconds since 1970 (UTC).
    """

    session: str
    reason: str
    at: float


class Began(_Entry, frozen=True, tag="began"):
    """The first entry of each file.

    Attributes:
        run: Id of the whole journal, the same in all its files.
        environment: What is served: a name.
        at: When the file was begun, in seconds since 1970 (UTC).
        versions: Version of each library that matters, by name.
        needed_from: Number of the first file with entries of sessions that had not ended by then; its own number if
            there were none.
        started_at: When the journal was begun.
    """

    run: str
    environment: str
    at: float
    versions: dict[str, str]
    needed_from: int
    started_at: float


class Stopped(_Entry, frozen=True, tag="stopped"):
    """The server closed the journal in order. Missing after a crash."""

    at: float


Entry: TypeAlias = SessionOpened | Answered | Snapshotted | SessionEnded | Began | Stopped

encode_entry: Callable[[Entry], bytes] = msgspec.msgpack.Encoder().encode
"""An entry as bytes. Raises ``NO_FORM`` if a field has none."""

NO_FORM = (TypeError, ValueError, OverflowError, RecursionError)

_decode = msgspec.msgpack.Decoder(Entry).decode


def formless(entry: Entry, error: Exception) -> RecordError:
    """The error for an entry that ``encode_entry`` did not take."""
    return RecordError(
        f"a journal entry {type(entry).__name__} has no form ({error}); make its fields of what their types say"
    )


def decode_entry(data: bytes) -> Entry:
    """The entry that ``encode_entry`` wrote.

    Raises:
        msgspec.DecodeError: It is none, or one that only a newer version knows.
    """
    entry: Entry = _decode(data)
    return entry
