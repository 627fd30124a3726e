"""What Python code calls tools by."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterable

__all__ = ["function_names"]

_NOT_PYTHON = re.compile(r"[^A-Za-z0-9_]")


def function_names(tools: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """What code calls each tool by: its name where Python can have it, else one made of it, and never one twice.

    What Python has in no name becomes ``_``; a name that begins with a digit has one before it, a keyword one after it.

    Args:
        tools: Names of tools.
        taken: Names that no function gets.
    """
    names = list(dict.fromkeys(tools))
    found = {name: name for name in names if name not in taken and _identifier(name) == name}
    used = {*taken, *found}
    for name in names:
        if name not in found:
            wanted = _identifier(name)
            base = wanted = f"{wanted}_" if wanted in taken else wanted
            number = 2
            while wanted in used:
                wanted, number = f"{base}_{number}", number + 1
            found[name] = wanted
            used.add(wanted)
    return {name: found[name] for name in names}


def _identifier(name: str) -> str:
    clean = _NOT_PYTHON.sub("_", name)
    if clean[:1].isdigit():
        return f"_{clean}"
    return f"{clean}_" if keyword.iskeyword(clean) else clean
