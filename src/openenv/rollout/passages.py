"""Values laid out for people: short fields on a line, long texts as blocks, Python code in colour."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import msgspec
from rich.cells import chop_cells
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.syntax import Syntax
from rich.text import Text

from openenv.rollout.pictures import note_of

__all__ = ["Layout", "laid_out", "printable"]

_CODE = {"code", "python", "source", "program"}
_VERBATIM = _CODE | {"stdout", "stderr", "screen", "traceback"}  # columns mean something in these
_TEXTS = _VERBATIM | {"question"}  # blocks, however short
_INLINE = 100  # characters of a value that stays on the line of its name
_STEP = 2  # columns of indentation
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
# What would move a terminal's cursor, ring its bell or turn its text around, and what has no encoding.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True)
class Layout:
    """How much of a long text is shown.

    Attributes:
        lines: Lines of a text; of a longer one so many, four fifths from its beginning and one from its end. 0 for all.
        characters: Characters of a line, or of a value written as JSON. 0 for all.
    """

    lines: int = 40
    characters: int = 2000


def laid_out(value: Any, layout: Layout, *, indent: int = 0, name: str = "") -> Iterator[_Passage]:
    """A value as lines and blocks, ready to print; control characters are shown, not obeyed.

    Args:
        value: Made of JSON values, and of what the record keeps beside them, such as bytes and arrays.
        layout: How much of it.
        indent: Columns left free before it.
        name: The name of the field that it is the value of; some names, such as ``code``, say how it is shown.
    """
    value = _read(value)
    if isinstance(value, dict) and note_of(value) is None:
        yield from _fields(value, layout, indent)
    elif (short := _short(value, name)) is not None:
        yield _Passage(short, indent)
    elif isinstance(value, str):
        style = _GUTTERS.get(name, "dim")
        yield _Passage(_block(value, name, layout), indent, gutter="│ ", style=style, by_words=name not in _VERBATIM)
    elif isinstance(value, list) and any(map(_is_for_itself, value)):
        named = ((f"[{index}]", one) for index, one in enumerate(value))
        yield from _named(named, layout, indent)
    else:
        yield _Passage(_cut_line(Text(_json(value)), layout), indent)


def printable(text: str) -> str:
    """The text without colours and with its other control characters written out, such as ``\\x1b``."""
    plain = _COLOURS.sub("", text.replace("\r\n", "\n"))
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), plain)


def _read(value: Any) -> Any:
    """What is shown of a value: of a content block that is text, the text alone."""
    if isinstance(value, dict) and value.keys() == {"type", "text"} and value["type"] == "text":
        return value["text"]
    return value


def _is_for_itself(value: Any) -> bool:
    return isinstance(value, dict | list) or _is_long(value) or note_of(value) is not None


_GUTTERS = {"stderr": "red", "traceback": "red"}


@dataclass(frozen=True)
class _Passage:
    """A text with something before each of its lines, also before those that the width makes of one."""

    text: Text
    indent: int
    gutter: str = ""
    style: str = "none"
    by_words: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(options.max_width - self.indent - len(self.gutter), 20)
        margin, style = Segment(" " * self.indent), Style.parse(self.style)
        for line in self._lines(console, width):
            line.rstrip()
            yield margin
            yield Segment(self.gutter if line else self.gutter.rstrip(), style)
            yield from line.render(console)
            yield Segment.line()

    def _lines(self, console: Console, width: int) -> Iterator[Text]:
        if self.by_words:
            yield from self.text.wrap(console, width, overflow="fold", tab_size=8)
            return
        for line in self.text.split("\n", allow_blank=True):
            line.expand_tabs(8)
            ends = list(accumulate(map(len, chop_cells(line.plain, width))))
            yield from line.divide(ends[:-1])

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(options.max_width, options.max_width)


def _fields(fields: dict[str, Any], layout: Layout, indent: int) -> Iterator[_Passage]:
    shown = {name: value for name, value in fields.items() if name != "metadata" or value != {}}
    if shown:
        yield from _named(shown.items(), layout, indent)
    else:
        yield _Passage(Text("nothing", style="dim"), indent)


def _named(items: Iterable[tuple[str, Any]], layout: Layout, indent: int) -> Iterator[_Passage]:
    """Neighbours that are short share a line; the others get their name above them."""
    line: list[Text] = []
    for key, unread in items:
        name, value = str(key), _read(unread)
        label = Text(f"{printable(name)}: ", style="cyan")
        if (short := _short(value, name)) is not None:
            line.append(Text.assemble(label, short))
            continue
        yield from _joined(line, indent)
        line = []
        yield _Passage(label, indent)
        yield from laid_out(value, layout, indent=indent + _STEP, name=name)
    yield from _joined(line, indent)


def _joined(parts: list[Text], indent: int) -> Iterator[_Passage]:
    if parts:
        yield _Passage(Text.assemble((" · ", "dim")).join(parts), indent)


def _short(value: Any, name: str) -> Text | None:
    """The value where it fits behind its name, else None."""
    if (note := note_of(value)) is not None:
        return Text(f"<{printable(note)}>", style="magenta")
    if isinstance(value, str):
        if _is_long(value) or (name in _TEXTS and value.strip()):
            return None
        return Text(_quoted(printable(value)))
    text = printable(_json(value))
    if len(text) > _INLINE or (isinstance(value, dict | list) and _holds_long(value)):
        return None
    return Text(text)


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and (len(value) > _INLINE or "\n" in value.rstrip("\n"))


def _holds_long(value: Any) -> bool:
    if note_of(value) is not None:
        return True
    if isinstance(value, dict):
        return any(_holds_long(one) or (name in _TEXTS and bool(one)) for name, one in value.items())
    return any(map(_holds_long, value)) if isinstance(value, list) else _is_long(value)


def _quoted(text: str) -> str:
    """The text, in quotes where it would be read as something else."""
    if not text or text != text.strip() or " · " in text:
        return _json(text)
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text
    return _json(text)


def _block(value: str, name: str, layout: Layout) -> Text:
    body = printable(value).rstrip()
    lines = [line.rstrip() for line in body.split("\n")]
    head, tail = lines, list[str]()
    if layout.lines and len(lines) > layout.lines:
        last = layout.lines // 5
        head, tail = lines[: layout.lines - last], lines[len(lines) - last :]
    parts = [_styled(head, name, layout)]
    if gone := lines[len(head) : len(lines) - len(tail)]:
        parts.append(_left_out(f"{len(gone):,} lines with {sum(map(len, gone)):,} characters left out"))
    if tail:
        parts.append(_styled(tail, name, layout))
    return Text("\n").join(parts)


def _styled(lines: list[str], name: str, layout: Layout) -> Text:
    if name in _CODE or name == "traceback":
        coloured = Syntax("", "python" if name in _CODE else "pytb", theme="ansi_dark").highlight("\n".join(lines))
        coloured.rstrip()
        found = list(coloured.split("\n", allow_blank=True))
        if [line.plain for line in found] != lines:  # whatever a lexer does, what was recorded is shown
            found = [Text(line) for line in lines]
    else:
        found = [Text(line) for line in lines]
    return Text("\n").join(_cut_line(line, layout) for line in found)


def _cut_line(line: Text, layout: Layout) -> Text:
    if not layout.characters or len(line) <= layout.characters:
        return line
    gone = len(line) - layout.characters
    return Text.assemble(line[: layout.characters], " ", _left_out(f"{gone:,} characters left out"))


def _left_out(what: str) -> Text:
    return Text(f"… {what}", style="yellow")


def _json(value: Any) -> str:
    """The value as JSON; what JSON has no form for is written as Python would."""
    try:
        return msgspec.json.encode(value, enc_hook=_hook).decode()
    except (TypeError, ValueError, UnicodeEncodeError):  # keys that are no texts, numbers beyond 64 bits
        return repr(value)


def _hook(value: Any) -> Any:
    as_list = getattr(value, "tolist", None)
    return as_list() if callable(as_list) else str(value)
