"""What a docstring says of a function and of its arguments, in the styles of Google, NumPy and Sphinx."""

from __future__ import annotations

import re

__all__ = ["read_docstring"]

_GOOGLE = re.compile(r"(Args|Arguments|Parameters):\s*")
_OTHER_GOOGLE = re.compile(r"[A-Z]\w*( \w+)?:\s*")
_GOOGLE_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(\([^)]*\))?\s*:\s*(.*)")

_NUMPY = re.compile(r"(Other )?Parameters:?\s*")
_DASHES = re.compile(r"-{3,}\s*")
_NUMPY_ENTRY = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(:.*)?")

_SPHINX_ENTRY = re.compile(
    r":(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*\s)?(?:\\?\*){0,2}(\w+)\s*:\s*(.*)"
)
_SPHINX_TYPE = re.compile(r":type\s+[^:]*:")


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """A docstring without what it says of arguments; and that, by their names.

    Args:
        text: Without the indent of the code around it, as ``inspect.getdoc`` gives it.
    """
    told: dict[str, str] = {}
    lines = text.splitlines()
    for style in (_numpy, _google, _sphinx):
        lines = style(lines, told)
    return "\n".join(lines).strip(), {name: text for name, text in told.items() if text}


def _google(lines: list[str], told: dict[str, str]) -> list[str]:
    """A section ``Args:`` with ``name (type): text``."""
    kept: list[str] = []
    inside, current, indent = False, "", 0
    for line in lines:
        if _GOOGLE.fullmatch(line):
            inside, current, indent = True, "", 0
            continue
        stripped, depth = line.strip(), _depth(line)
        if inside and (_OTHER_GOOGLE.fullmatch(line) or (stripped and depth == 0 < indent)):
            inside = False
        if not inside:
            kept.append(line)
            continue
        entry = _GOOGLE_ENTRY.fullmatch(stripped)
        if entry and (not current or depth <= indent):
            current, indent = entry[1], depth
            told[current] = entry[3]
        elif current:
            _go_on(told, [current], stripped)
    return kept


def _numpy(lines: list[str], told: dict[str, str]) -> list[str]:
    """A section ``Parameters`` above dashes, with ``name : type`` above the text."""
    kept: list[str] = []
    inside, current = False, list[str]()
    for index, line in enumerate(lines):
        is_title = index + 1 < len(lines) and bool(line.strip()) and _DASHES.fullmatch(lines[index + 1]) is not None
        if is_title:
            inside, current = _NUMPY.fullmatch(line) is not None, []
        is_part = is_title or _DASHES.fullmatch(line) is not None
        entry = None if is_part or _depth(line) else _NUMPY_ENTRY.fullmatch(line)
        if inside and not is_part and line.strip() and not _depth(line) and entry is None:
            inside = False
        if not inside:
            kept.append(line)
        elif entry:
            current = [name.strip(" *") for name in entry[1].split(",")]
            told.update(dict.fromkeys(current, ""))
        elif not is_part:
            _go_on(told, current, line.strip())
    return kept


def _sphinx(lines: list[str], told: dict[str, str]) -> list[str]:
    """Fields ``:param name: text``, which go on in lines that are indented."""
    kept: list[str] = []
    inside, current = False, list[str]()
    for line in lines:
        entry = _SPHINX_ENTRY.fullmatch(line)
        if entry:
            inside, current = True, [entry[1]]
            told[entry[1]] = entry[2]
        elif _SPHINX_TYPE.match(line):
            inside, current = True, []
        elif inside and (not line.strip() or _depth(line)):
            _go_on(told, current, line.strip())
        else:
            if inside and kept and kept[-1].strip():
                kept.append("")
            inside = False
            kept.append(line)
    return kept


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _go_on(told: dict[str, str], names: list[str], text: str) -> None:
    for name in names:
        told[name] = f"{told[name]} {text}".strip()
