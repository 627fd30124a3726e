"""What waits to be written to a journal, and which of its files each entry goes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from openenv.record.appending import Batch
from openenv.record.entries import Answered, Began, Entry, Position, SessionEnded, SessionOpened, encode_entry
from openenv.record.segments import FRAME_BYTES, frame_head, position_of, segment_head

__all__ = ["Pending"]


class Pending:
    """Gives entries their positions and keeps them until they are taken to be written.

    Args:
        segment: Number of the newest file that is there; 0 if there is none. The first entry goes to the next one.
        segment_bytes: A new file is begun when one has so many bytes.
        open_sessions: Of each session that has not ended, the number of the file it was opened in.
        began: Makes the first entry of a file; is given the number of the first file that is needed still.
    """

    def __init__(
        self, segment: int, segment_bytes: int, open_sessions: Mapping[str, int], began: Callable[[int], Began]
    ) -> None:
        self._segment, self._segment_bytes, self._began = segment, segment_bytes, began
        self._open = dict(open_sessions)
        self._salt, self._offset = 0, 0  # the offset is where the next entry goes
        self._base: Position = 0  # position of byte 0 of the file
        self._chunks: list[bytes] = []  # of that file
        self._full: list[Batch] = []  # of files before it
        self._roll()

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def add(self, entry: Entry, data: bytes) -> Position:
        """Take an entry, which was encoded to ``data``."""
        if self._offset >= self._segment_bytes:
            self._roll()
        offset = self._offset
        self._chunks += (frame_head(data, self._salt), data)
        self._offset = offset + FRAME_BYTES + len(data)
        if type(entry) is not Answered:
            self._follow(entry)
        return self._base + offset

    def take(self) -> tuple[list[Batch], Position]:
        """All that waits, and the position behind it. It does not wait any more."""
        batches = [*self._full, self._batch()]
        self.clear()
        return batches, self._base + self._offset

    def clear(self) -> None:
        """Forget what waits."""
        self._full, self._chunks = [], []

    def _follow(self, entry: Entry) -> None:
        if isinstance(entry, SessionOpened):
            self._open[entry.session] = self._segment
        elif isinstance(entry, SessionEnded):
            self._open.pop(entry.session, None)

    def _roll(self) -> None:
        """Begin the next file."""
        if self._chunks:
            self._full.append(self._batch())
        head, self._salt = segment_head()
        self._segment += 1
        self._base = position_of(self._segment, 0)
        data = encode_entry(self._began(self._needed_from()))
        self._chunks = [head, frame_head(data, self._salt), data]
        self._offset = len(head) + FRAME_BYTES + len(data)

    def _batch(self) -> Batch:
        return Batch(self._segment, self._chunks, self._needed_from())

    def _needed_from(self) -> int:
        return min(self._open.values(), default=self._segment)
