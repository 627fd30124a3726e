"""Where two answers differ first."""

from __future__ import annotations

from typing import Any

import pydantic_core

__all__ = ["first_difference"]


def first_difference(first: bytes | None, second: bytes | None, volatile: frozenset[str] = frozenset()) -> str | None:
    """The first field in which two observations differ, with both values; ``None`` where they are the same.

    Args:
        first, second: Observations as JSON; ``None`` where there was none.
        volatile: Fields of the observation and of its metadata that do not count.
    """
    if first is None or second is None:
        return None if first is second else f"{_short(first)}, and {_short(second)}"
    return _found("", _without(first, volatile), _without(second, volatile))


def _without(encoded: bytes, volatile: frozenset[str]) -> Any:
    told = pydantic_core.from_json(encoded)
    if not isinstance(told, dict):
        return told
    kept = {name: value for name, value in told.items() if name not in volatile}
    metadata = kept.get("metadata")
    if isinstance(metadata, dict):
        kept["metadata"] = {name: value for name, value in metadata.items() if name not in volatile}
    return kept


def _found(path: str, first: Any, second: Any) -> str | None:
    if isinstance(first, dict) and isinstance(second, dict):
        for name in [*first, *(name for name in second if name not in first)]:
            where = f"{path}.{name}" if path else str(name)
            if name not in first or name not in second:
                return f"{where} is only in one of them"
            found = _found(where, first[name], second[name])
            if found is not None:
                return found
        return None
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            found = _found(f"{path}[{index}]", one, other)
            if found is not None:
                return found
        return None
    if type(first) is type(second) and (first == second or (first != first and second != second)):  # NaN
        return None
    return f"{path or 'the observation'} was {_short(first)}, then {_short(second)}"


def _short(value: Any) -> str:
    text = value.decode() if isinstance(value, bytes) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
