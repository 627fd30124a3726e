"""What waits to be written to a journal, and which of its files each entry goes to."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Mapping

from openenv.record.appending import Batch
from openenv.record.entries import Began, Entry, Position, SessionEnded, SessionOpened, encode_entry
from openenv.record.frames import FRAME_BYTES, frame_head
from openenv.record.room import Room
from openenv.record.segments import Segment, position_of, read_segment, segment_head
from openenv.version import __version__

__all__ = ["Pending", "beginnings"]


class Pending:
    """Gives entries their positions and keeps them until they are taken to be written.

    Attributes:
        chunks: What waits to be written to the newest file, if anything does.

    Args:
        segment: Number of the newest file that is there; 0 if there is none. The first entry goes to the next one.
        segment_bytes: A new file is begun when one has so many bytes.
        open_sessions: Of each session that has not ended, the number of the file it was opened in.
        began: Makes the first entry of a file; is given the number of the first file that is needed still.
        room: That of the file, where entries may have been put meanwhile.
    """

    def __init__(
        self,
        segment: int,
        segment_bytes: int,
        open_sessions: Mapping[str, int],
        began: Callable[[int], Began],
        room: Room,
    ) -> None:
        self._segment, self._segment_bytes, self._began = segment, segment_bytes, began
        self._open, self._room = dict(open_sessions), room
        self._salt, self._offset = 0, 0  # the offset is where the next entry goes
        self._base: Position = 0  # position of byte 0 of the file
        self.chunks: list[bytes] = []
        self._needed = segment  # number of the first file that was needed when that one was begun
        self._full: list[Batch] = []  # of files before it
        self._roll()

    def add(self, entry: Entry, data: bytes) -> Position:
        """Take an entry, which was encoded to ``data``."""
        if not self.chunks:
            self._offset = self._room.filled or self._offset
        if self._offset >= self._segment_bytes:
            self._roll()
        offset = self._offset
        self.chunks += (frame_head(data, self._salt), data)
        self._offset = offset + FRAME_BYTES + len(data)
        self.follow(entry)
        return self._base + offset

    def take(self) -> tuple[list[Batch], Position]:
        """All that waits, and the position behind it. It does not wait any more."""
        batches = [*self._full, self._batch()] if self._full else [self._batch()]
        self.clear()
        return batches, self._base + self._offset

    def clear(self) -> None:
        """Forget what waits."""
        self.chunks = []
        if self._full:
            self._full = []

    def follow(self, entry: Entry) -> None:
        """Note what an entry says of sessions; those that are not added are told of too."""
        if isinstance(entry, SessionOpened):
            self._open[entry.session] = self._segment
        elif isinstance(entry, SessionEnded):
            self._open.pop(entry.session, None)

    def _roll(self) -> None:
        """Begin the next file."""
        if self.chunks:
            self._full.append(self._batch())
        head, self._salt = segment_head()
        self._segment += 1
        self._base = position_of(self._segment, 0)
        self._needed = min(self._open.values(), default=self._segment)
        data = encode_entry(self._began(self._needed))
        self.chunks = [head, frame_head(data, self._salt), data]
        self._offset = len(head) + FRAME_BYTES + len(data)

    def _batch(self) -> Batch:
        return Batch(self._segment, self.chunks, self._needed, self._salt)


def beginnings(
    segments: list[Segment], environment: str, now: Callable[[], float]
) -> tuple[Callable[[int], Began], int]:
    """What makes the first entries of the files after these, and the number of the newest of these."""
    before = None
    for segment in reversed(segments):
        _, before = next(iter(read_segment(segment)), (0, None))
        if isinstance(before, Began):
            run, started_at = before.run, before.started_at
            break
    else:
        run, started_at = secrets.token_hex(5), now()
    versions = {"openenv": __version__, "python": ".".join(map(str, sys.version_info[:3]))}

    def began(needed_from: int) -> Began:
        return Began(run, environment, now(), versions, needed_from, started_at)

    return began, segments[-1].number if segments else 0
