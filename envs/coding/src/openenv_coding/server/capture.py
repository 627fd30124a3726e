"""Output of unknown length, kept within bounds while it comes in."""

from __future__ import annotations

__all__ = ["Capture"]


class Capture:
    """Keeps the beginning and the end of a stream, half of the limit each, and counts the rest.

    Args:
        max_bytes: How much to keep, 2 or more.
    """

    def __init__(self, max_bytes: int) -> None:
        self._head_bytes = max_bytes - max_bytes // 2
        self._tail_bytes = max_bytes // 2
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0
        """How many bytes came in."""

    @property
    def truncated(self) -> bool:
        """Whether something is left out."""
        return self.total > self._head_bytes + self._tail_bytes

    def feed(self, data: bytes) -> None:
        """Take in what comes next."""
        self.total += len(data)
        room = self._head_bytes - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail += data[-self._tail_bytes :]
            del self._tail[: -self._tail_bytes]

    def text(self) -> str:
        """What is kept, as UTF-8 with other bytes replaced; a line in the middle says how much is left out."""
        if not self.truncated:
            return (self._head + self._tail).decode(errors="replace")
        left_out = self.total - len(self._head) - len(self._tail)
        middle = f"\n... {left_out} bytes left out ...\n"
        return self._head.decode(errors="replace") + middle + self._tail.decode(errors="replace")
