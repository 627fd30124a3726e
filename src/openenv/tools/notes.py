"""What a call says while it runs: it goes to whoever made the call, and is no part of its result."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import msgspec

__all__ = ["Changed", "Logged", "Note", "NoteSink", "Progressed", "note_from", "note_text"]

LogLevel = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]
Changing = Literal["tools", "prompts", "resources", "resource"]


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

    def __post_init__(self) -> None:
        for number in (self.progress, self.total):
            if number is not None and not math.isfinite(number):
                raise ValueError(f"progress and total are finite numbers, not {number}")
        if self.message is not None:
            _check_text("the message of progress", self.message)


class Logged(msgspec.Struct, frozen=True, tag="log"):
    """Something for the log of the caller: any JSON value."""

    data: Any
    level: LogLevel = "info"
    logger: str | None = None

    def __post_init__(self) -> None:
        _check_one_of("the level of what is logged, its second argument,", self.level, get_args(LogLevel))
        if self.logger is not None:
            _check_text("logger", self.logger)


class Changed(msgspec.Struct, frozen=True, tag="changed"):
    """Something that was listed or read before is another now.

    Attributes:
        what: ``tools``, ``prompts`` or ``resources``: the list; ``resource``: what one holds.
        uri: Of that resource.
    """

    what: Changing
    uri: str = ""

    def __post_init__(self) -> None:
        _check_one_of("what is announced", self.what, get_args(Changing))
        _check_text("the URI of a resource", self.uri)


Note = Progressed | Logged | Changed


class NoteSink:
    """Takes notes and forgets them; what takes them elsewhere overrides ``__call__``. Safe from any thread."""

    def __call__(self, note: Note) -> None:
        """Take a note."""


# A note that is none is told where it is made: read in another process it would be taken for garbage.
def _check_text(what: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{what} is a text, not {value!r:.80}")


def _check_one_of(what: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{what} is one of {', '.join(known)}, not {value!r:.80}")


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
