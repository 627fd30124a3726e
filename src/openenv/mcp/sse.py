"""Server-sent events: written, read, and kept for a client that comes back."""

from __future__ import annotations

from collections import deque

from msgspec import Struct

__all__ = ["KEEP_ALIVE", "EventLog", "SseDecoder", "SseEvent", "event"]

KEEP_ALIVE = b": alive\n\n"
"""What is sent on a stream where nothing else is to be said, so that it is not taken for dead."""


class SseEvent(Struct, frozen=True):
    """One event of a stream.

    Attributes:
        data: Its text; empty for an event that only has an id.
        id: The last id that the stream gave; empty if it gave none.
        retry: What the stream said last about how long to wait before coming back, in milliseconds.
        type: ``message``, unless the event says otherwise.
    """

    data: str
    id: str = ""
    retry: int | None = None
    type: str = "message"


def event(data: bytes, event_id: str = "", retry_ms: int | None = None) -> bytes:
    """One event on the wire.

    Args:
        data: UTF-8, in as many lines as it has. Empty for an event that only has an id.
        event_id: What a client names to get what came after it; without line breaks.
        retry_ms: How long the client should wait before it comes back, in milliseconds.
    """
    head = b"id: %b\nevent: message\n" % event_id.encode() if event_id else b"event: message\n"
    if retry_ms is not None:
        head += b"retry: %d\n" % retry_ms
    if b"\n" in data or b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    return b"%bdata: %b\n\n" % (head, data)


class SseDecoder:
    """Reads a stream of events, whatever pieces it comes in.

    Args:
        max_bytes: The longest event.
    """

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_bytes = max_bytes
        self._rest = bytearray()
        self._searched = 0  # there is no line break before
        self._begun = False
        self._skip_newline = False
        self._data: list[str] = []
        self._size = 0
        self._type = ""
        self._id = ""
        self._retry: int | None = None

    def feed(self, piece: bytes) -> list[SseEvent]:
        """The events that are complete with this piece.

        Raises:
            ValueError: An event is longer than ``max_bytes``.
        """
        self._rest += self._normalised(piece)
        found = []
        for line in self._lines():
            complete = self._line(line)
            if complete is not None:
                found.append(complete)
        if len(self._rest) + self._size > self._max_bytes:
            raise ValueError(f"An event of the stream has more than {self._max_bytes} bytes")
        return found

    def _normalised(self, piece: bytes) -> bytes:
        """The piece with LF for CR, LF and both; the two halves of both may come in two pieces."""
        if not piece:
            return piece
        if self._skip_newline:
            piece = piece.removeprefix(b"\n")
        self._skip_newline = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in piece else piece

    def _lines(self) -> list[str]:
        """The lines that are complete."""
        rest = self._rest
        end = rest.rfind(b"\n", self._searched)
        if end < 0:
            self._searched = len(rest)
            return []
        text = rest[:end].decode("utf-8", "replace")
        del rest[: end + 1]
        self._searched = len(rest)
        if not self._begun:
            self._begun = True
            text = text.removeprefix("\ufeff")
        return text.split("\n")

    def _line(self, line: str) -> SseEvent | None:
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._size += len(line)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "event":
            self._type = value
        elif name == "retry" and value.isascii() and value.isdigit() and len(value) < 10:
            self._retry = int(value)
        return None

    def _complete(self) -> SseEvent | None:
        data, kind = self._data, self._type or "message"
        self._data, self._type, self._size = [], "", 0
        return SseEvent("\n".join(data), self._id, self._retry, kind) if data else None


class EventLog:
    """The events of one stream, of which the latest are kept.

    Args:
        stream: Name of the stream, without dots or line breaks. The ids of its events are ``<stream>.<number>``.
        max_bytes: How much is kept; the event that came last is kept always.
    """

    def __init__(self, stream: str, max_bytes: int = 1024 * 1024) -> None:
        self.stream = stream
        self._max_bytes = max_bytes
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._next = 0  # number of the next event

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._size

    def add(self, data: bytes, retry_ms: int | None = None) -> bytes:
        """Keep an event; this is how it goes on the wire. One without data tells the client an id to come back with."""
        wire = event(data, f"{self.stream}.{self._next}", retry_ms)
        self._next += 1
        self._kept.append(wire)
        self._size += len(wire)
        while self._size > self._max_bytes and len(self._kept) > 1:
            self._size -= len(self._kept.popleft())
        return wire

    def after(self, event_id: str) -> list[bytes] | None:
        """What is kept of what came after an event, as it goes on the wire; ``None`` if there was no such event."""
        stream, _, number = event_id.rpartition(".")
        if stream != self.stream or not (number.isascii() and number.isdigit() and len(number) < 16):
            return None
        first, wanted = self._next - len(self._kept), int(number) + 1
        return [*self._kept][max(0, wanted - first) :] if wanted <= self._next else None

    @staticmethod
    def stream_of(event_id: str) -> str:
        """The stream that an id names; empty if it names none."""
        return event_id.rpartition(".")[0]
