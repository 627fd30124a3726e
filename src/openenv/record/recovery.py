"""What a journal says of the sessions that were open when its server ended."""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from openenv.record.entries import Answered, Began, Position, SessionEnded, SessionOpened, Snapshotted
from openenv.record.segments import Segment, log, read_segment, segments_of

__all__ = ["KEPT_ANSWERS", "KEPT_REASONS", "Kept", "Left", "Recovered", "recover"]

KEPT_ANSWERS = 32
"""Answers a session keeps for requests that come again."""


KEPT_REASONS = 1000
"""Sessions that ended of which it is known why."""


class Kept(NamedTuple):
    """An answer that may be asked for again."""

    position: Position
    id: int
    key: str


def _kept() -> deque[Kept]:
    return deque(maxlen=KEPT_ANSWERS)


@dataclass
class Recovered:
    """A session that was opened and did not end. ``Journal.read`` gives what is at a position.

    Attributes:
        opened_at: Position of its ``SessionOpened``.
        opening: The entry itself, with digests and environment lock.
        highest_id: Highest number of its requests.
        numbered: Its last 32 answers without an idempotency key, oldest first.
        keyed: Its last 32 answers with one, oldest first.
        episode: Id of the current episode; empty before the first reset.
        reset: Position of the reset that began it; None before the first.
        snapshot: Position of its newest snapshot; None if there is none.
        replay: Positions of the answers that follow the snapshot, or, without one, of all answers of the episode: its
            reset first, then steps and errors.
        first_index: Index in the episode of the first of ``replay``, counted from the reset, which is 0.
        earlier: Positions of the answers of the episode that the snapshot contains.
        resets: Resets of the session that were answered, also with an error.
    """

    opened_at: Position
    opening: SessionOpened
    highest_id: int = 0
    numbered: deque[Kept] = field(default_factory=_kept)
    keyed: deque[Kept] = field(default_factory=_kept)
    episode: str = ""
    reset: Position | None = None
    snapshot: Position | None = None
    replay: array[int] = field(default_factory=lambda: array("Q"))
    first_index: int = 0
    earlier: array[int] = field(default_factory=lambda: array("Q"))
    resets: int = 0

    def answer(self, position: Position, entry: Answered) -> None:
        """Take in an answer."""
        if entry.id > self.highest_id:
            self.highest_id = entry.id
        (self.keyed if entry.key else self.numbered).append(Kept(position, entry.id, entry.key))
        if entry.kind == "reset":
            self.episode, self.reset, self.snapshot = entry.episode, position, None
            self.replay, self.first_index, self.earlier = array("Q"), 0, array("Q")
        if entry.kind == "reset" or (entry.kind == "error" and _is_reset(entry.request)):
            self.resets += 1
        if entry.kind != "close":
            self.replay.append(position)

    def take_snapshot(self, position: Position, entry: Snapshotted) -> None:
        """Take in a snapshot. One of an earlier episode, or older than the last one, changes nothing."""
        contained = entry.index + 1 - self.first_index
        if entry.episode == self.episode and self.reset is not None and 0 <= contained <= len(self.replay):
            self.snapshot, self.first_index = position, entry.index + 1
            self.earlier.extend(self.replay[:contained])
            del self.replay[:contained]


class _Asked(msgspec.Struct):
    type: str = ""


_asked = msgspec.json.Decoder(_Asked)


def _is_reset(request: bytes) -> bool:
    try:
        return _asked.decode(request).type == "reset"
    except (msgspec.DecodeError, UnicodeError):  # damaged: who plays it again will tell
        return False


class Left(NamedTuple):
    """What is left of earlier servers.

    Attributes:
        open: The sessions that were opened and did not end, by their id, in the order in which they began.
        reasons: Why the last of those ended that did, but for those that were closed, by their id.
    """

    open: dict[str, Recovered]
    reasons: dict[str, str]


def recover(directory: Path) -> Left:
    """What a journal says is left.

    Takes memory for open sessions and ``KEPT_REASONS`` only, however long the journal is, and leaves out files that
    no open session can be in.

    Raises:
        RecordError: A file cannot be read or is damaged before its end.
    """
    found: dict[str, Recovered] = {}
    reasons: dict[str, str] = {}
    strangers: set[str] = set()
    for segment in _needed(segments_of(directory)):
        for position, entry in read_segment(segment):
            if type(entry) is SessionOpened:
                found[entry.session] = Recovered(position, entry)
            elif type(entry) is SessionEnded:
                found.pop(entry.session, None)
                strangers.discard(entry.session)
                if entry.reason != "closed":
                    reasons[entry.session] = entry.reason
                if len(reasons) > KEPT_REASONS:
                    del reasons[next(iter(reasons))]
            elif isinstance(entry, Answered | Snapshotted):
                session = found.get(entry.session)
                if session is None:
                    strangers.add(entry.session)
                elif isinstance(entry, Answered):
                    session.answer(position, entry)
                else:
                    session.take_snapshot(position, entry)
    if strangers:
        log.warning(
            "the journal in %s has entries of %d sessions that it does not know: a file of it was removed, or they "
            "went on after their end; they cannot be recovered",
            directory,
            len(strangers),
        )
    return Left(found, reasons)


def _needed(segments: list[Segment]) -> list[Segment]:
    """The files that entries of unfinished sessions can be in, as the newest of them says."""
    for newest in reversed(segments):
        first = next(iter(read_segment(newest)), None)
        if first is not None and isinstance(first[1], Began):
            return [segment for segment in segments if segment.number >= first[1].needed_from]
    return segments
