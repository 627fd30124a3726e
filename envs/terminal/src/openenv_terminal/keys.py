"""Keys by name: what ``<Enter>``, ``<C-c>`` and their like send to a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["NAMED_KEYS", "UnknownKey", "key_bytes"]

NAMED_KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Enter": "\r",
        "Tab": "\t",
        "Esc": "\x1b",
        "Space": " ",
        "Backspace": "\x7f",
        "lt": "<",
        "Up": "\x1b[A",
        "Down": "\x1b[B",
        "Right": "\x1b[C",
        "Left": "\x1b[D",
        "Home": "\x1b[1~",
        "Insert": "\x1b[2~",
        "Delete": "\x1b[3~",
        "End": "\x1b[4~",
        "PageUp": "\x1b[5~",
        "PageDown": "\x1b[6~",
        "F1": "\x1b[[A",
        "F2": "\x1b[[B",
        "F3": "\x1b[[C",
        "F4": "\x1b[[D",
        "F5": "\x1b[[E",
        "F6": "\x1b[17~",
        "F7": "\x1b[18~",
        "F8": "\x1b[19~",
        "F9": "\x1b[20~",
        "F10": "\x1b[21~",
        "F11": "\x1b[23~",
        "F12": "\x1b[24~",
    }
)
"""What each named key sends; source: terminfo's entry ``linux``, which ``TERM`` says inside.

Beside them there are ``<C-x>``, control with a letter or one of ``@[\\]^_``, and ``<M-x>``, alt with any character.
"""

_KEY: Final = re.compile(r"<([A-Za-z][A-Za-z0-9]*(?:-[^<>\s]|->)?)>")
_CONTROL: Final = re.compile(r"[Cc]-([A-Za-z@\[\\\]^_])")
_META: Final = re.compile(r"[Mm]-(.)")
_LOOKUP: Final = {name.lower(): sent for name, sent in NAMED_KEYS.items()}


class UnknownKey(ValueError):
    """A name in angle brackets that is no key's."""


def key_bytes(text: str) -> bytes:
    """What typing ``text`` sends.

    Args:
        text: Characters, and keys as ``<name>`` in upper or lower case. A ``<`` that begins no such name is itself, as
            in ``a < b``; one that does is written ``<lt>``. A newline is Enter.

    Raises:
        UnknownKey: There is no key of that name, or a character cannot be typed.
    """
    sent: list[str] = []
    end = 0
    for found in _KEY.finditer(text):
        sent += [text[end : found.start()].replace("\n", "\r"), _named(found[1])]
        end = found.end()
    sent.append(text[end:].replace("\n", "\r"))
    try:
        return "".join(sent).encode()
    except UnicodeEncodeError as error:
        raise UnknownKey(f"character {error.start} is half of a surrogate pair, which nothing can type") from None


def _named(name: str) -> str:
    if (control := _CONTROL.fullmatch(name)) is not None:
        return chr(ord(control[1].upper()) & 0x1F)
    if (meta := _META.fullmatch(name)) is not None:
        return f"\x1b{meta[1]}"
    sent = _LOOKUP.get(name.lower())
    if sent is None:
        known = ", ".join(f"<{key}>" for key in NAMED_KEYS)
        raise UnknownKey(f"<{name}> is no key; there are {known}, <C-x> and <M-x>; a plain < is written <lt>")
    return sent
