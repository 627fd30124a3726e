"""The terminal's screen: what a stream of bytes looks like, with the lines that have left it at the top."""

from __future__ import annotations

import codecs
import inspect
import re
import unicodedata
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import pyte

__all__ = ["Emulator"]

# Operating system commands, device control strings and their like: titles, colours and pictures that nobody sees here.
_STRING_BEGINS: Final = re.compile("\x1b[\\]PX^_]")
_STRING_ENDS: Final = re.compile("\x07|\x1b\\\\|\x18|\x1a")
_C1: Final = re.compile("[\x80-\x9f]")
_MOST_MARKS: Final = 4
_MOST_REPLIES: Final = 256
# The only ones for which CSI ? means what the emulator takes it for.
_PRIVATE: Final = {"set_mode", "reset_mode", "erase_in_display", "erase_in_line"}


class _Screen(pyte.Screen):
    """A screen that keeps what scrolls off, and answers programs that ask where the cursor is."""

    def __init__(self, columns: int, rows: int, scrollback: int) -> None:
        self.scrolled: deque[str] = deque(maxlen=scrollback)
        self.scrolled_count = 0
        self.replies: list[str] = []
        super().__init__(columns, rows)

    def line(self, y: int) -> str:
        """The text of a row, without blanks at its end."""
        row, text, wide = self.buffer[y], [], False
        for x in range(min(self.columns, max(row, default=-1) + 1)):  # the row holds what was written to
            data = row[x].data
            if data:
                text.append(data)
            elif not wide:  # half of a wide character that was written over
                text.append(" ")
            wide = bool(data) and unicodedata.east_asian_width(data[0]) in "WF"
        return "".join(text).rstrip()

    def index(self) -> None:
        top, bottom = self.margins or (0, self.lines - 1)
        if self.cursor.y == bottom and top == 0:
            self.scrolled.append(self.line(0))
            self.scrolled_count += 1
        super().index()

    def draw(self, data: str) -> None:
        kept, marks = [], len(self.buffer[self.cursor.y][max(0, self.cursor.x - 1)].data) - 1
        for character in data:  # endless marks over one character would make it endlessly long
            marks = marks + 1 if unicodedata.combining(character) else 0
            if marks <= _MOST_MARKS:
                kept.append(character)
        super().draw("".join(kept))

    def write_process_input(self, data: str) -> None:
        if len(self.replies) < _MOST_REPLIES:
            self.replies.append(data)


def _forgiving(name: str) -> Callable[..., None]:
    """A control function that ignores what it does not know, as terminals do."""
    plain = getattr(pyte.Screen, name)
    parameters = list(inspect.signature(plain).parameters.values())[1:]
    takes_any = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    most = sum(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in parameters)

    def control(self: _Screen, *given: Any, **options: Any) -> None:
        if options.get("private") and name not in _PRIVATE:
            return
        plain(self, *(given if takes_any else given[:most]), **options)

    return control


for _name in set(pyte.Stream.csi.values()):
    setattr(_Screen, _name, _forgiving(_name))


class Emulator:
    """A terminal of fixed size.

    Args:
        rows, columns: Its size in characters.
        scrollback: How many of the lines that left the screen are kept.
    """

    def __init__(self, rows: int, columns: int, scrollback: int) -> None:
        self._screen = _Screen(columns, rows, scrollback)
        self._stream = pyte.Stream(self._screen)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._in_string = False

    def feed(self, data: bytes) -> bytes:
        """Show bytes; what the terminal answers to programs that asked it something."""
        text = self._plain(self._held + self._decoder.decode(data))
        try:
            self._stream.feed(text)
        except (TypeError, ValueError, IndexError, KeyError):  # a sequence that the emulator does not survive
            self._stream = pyte.Stream(self._screen)
        replies, self._screen.replies = "".join(self._screen.replies), []
        return replies.encode()

    def skip(self) -> None:
        """Take note that bytes are left out here: forget about halves of sequences."""
        self._decoder.reset()
        self._held, self._in_string = "", False
        self._stream = pyte.Stream(self._screen)

    def begin_line(self) -> None:
        """Begin a line for a new shell, and forget what programs have set up."""
        self.skip()
        self._screen.margins = None
        column = self._screen.cursor.x
        self._stream.feed("\x1b[0m\x1b[4l\x1b[?7h\x1b[?25h\x0f" + ("\r\n" if column else ""))

    def screen(self) -> str:
        """The rows joined by newlines, without blanks at the ends of rows and empty rows at the bottom."""
        return "\n".join(self._rows())

    def cursor(self) -> tuple[int, int]:
        """Row and column of the cursor, counted from 0."""
        return self._screen.cursor.y, min(self._screen.cursor.x, self._screen.columns - 1)

    def position(self) -> int:
        """Number of the line that the cursor is in, counted from the first line ever shown."""
        return self._screen.scrolled_count + self._screen.cursor.y

    def since(self, position: int) -> str:
        """The lines from that number on, as far as they are kept; the screen if the cursor was moved up since."""
        if self.position() < position:
            return self.screen()
        first_on_screen = self._screen.scrolled_count
        gone = max(0, min(first_on_screen - position, len(self._screen.scrolled)))
        lines = list(self._screen.scrolled)[len(self._screen.scrolled) - gone :] if gone else []
        return "\n".join([*lines, *self._rows()[max(0, position - first_on_screen) :]])

    def scrollback(self) -> str:
        """The kept lines that left the screen, oldest first."""
        return "\n".join(self._screen.scrolled)

    def _rows(self) -> list[str]:
        rows = [self._screen.line(y) for y in range(self._screen.lines)]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def _plain(self, text: str) -> str:
        """The text without strings for the terminal alone, which may be of any length."""
        shown: list[str] = []
        self._held = ""
        text = _C1.sub("", text)
        if text.endswith("\x1b"):
            text, self._held = text[:-1], "\x1b"
        while text:
            found = (_STRING_ENDS if self._in_string else _STRING_BEGINS).search(text)
            if not self._in_string:
                shown.append(text[: found.start()] if found else text)
            if found is None:
                break
            text, self._in_string = text[found.end() :], not self._in_string
        return "".join(shown)
