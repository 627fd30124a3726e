"""What a call says while it runs: it goes to whoever made the call, and is no part of its result."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = ["Changed", "Logged", "Note", "NoteSink", "Progressed", "note_from", "note_text"]

LogLevel = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]


class Progressed(msgspec.Struct, frozen=True, tag="progress"):
    """How far the call has come.

    Attributes:
        progress: Rises from note to note.
        total: What it rises to, if that is known.
        message: The same for people.
    """

    progress: float
    total: float | None = None
    message: str | None = None


class Logged(msgspec.Struct, frozen=True, tag="log"):
    """Something for the log of the caller: any JSON value."""

    data: Any
    level: LogLevel = "info"
    logger: str | None = None


class Changed(msgspec.Struct, frozen=True, tag="changed"):
    """Something that was listed or read before is another now.

    Attributes:
        what: ``tools``, ``prompts`` or ``resources``: the list; ``resource``: what one holds.
        uri: Of that resource.
    """

    what: Literal["tools", "prompts", "resources", "resource"]
    uri: str = ""


Note = Progressed | Logged | Changed


class NoteSink:
    """Takes notes and forgets them; what takes them elsewhere overrides ``__call__``. Safe from any thread."""

    def __call__(self, note: Note) -> None:
        """Take a note."""


_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Note] = msgspec.json.Decoder(Note)


def note_text(note: Note) -> bytes:
    """A note as JSON text.

    Raises:
        TypeError: What was logged has no JSON form.
    """
    return _encode(note)


def note_from(text: bytes) -> Note:
    """A note from its JSON text; raises ``msgspec.DecodeError`` if it is none."""
    return _decoder.decode(text)
