"""Values of many sessions side by side: one array where they are alike, else a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

__all__ = ["numbers", "stacked"]

_BESIDE = frozenset(("reward", "done", "terminated", "truncated", "metadata"))
"""Fields of an observation that a result has of its own."""


def numpy() -> ModuleType | None:
    """The library, where it is installed."""
    try:
        import numpy as found
    except ImportError:
        return None
    return found


def stacked(values: Sequence[Any], present: Sequence[bool]) -> Any:
    """The values as one: of mappings and models a dict by field, of numbers and arrays alike in shape an array.

    Args:
        values: One a session.
        present: Which of them there are; the others become zeros in an array, ``None`` in a list.
    """
    there = [value for value, is_there in zip(values, present, strict=True) if is_there]
    if not there:
        return list(values)
    first = there[0]
    if hasattr(type(first), "model_fields"):
        names = [name for name in type(first).model_fields if name not in _BESIDE]
        if all(type(value) is type(first) for value in there):
            return {name: stacked([getattr(value, name, None) for value in values], present) for name in names}
        return list(values)
    if isinstance(first, Mapping):
        if all(isinstance(value, Mapping) and value.keys() == first.keys() for value in there):
            rows = [value if is_there else {} for value, is_there in zip(values, present, strict=True)]
            return {name: stacked([row.get(name) for row in rows], present) for name in first}
        return list(values)
    array = _array(there)
    if array is None:
        return list(values)
    return array if len(there) == len(values) else _spread(array, present)


def numbers(values: Sequence[float | bool], kind: type) -> Any:
    """Numbers as an array of that kind, or a list where there is no numpy."""
    np = numpy()
    return list(values) if np is None else np.array(values, dtype=kind)


def _array(values: list[Any]) -> Any | None:
    """An array whose first axis is the session; ``None`` where they have no common shape of numbers."""
    np = numpy()
    if np is None:
        return None
    first = values[0]
    if isinstance(first, np.ndarray):
        alike = all(
            isinstance(one, np.ndarray) and one.shape == first.shape and one.dtype == first.dtype for one in values
        )
        return np.stack(values) if alike and first.dtype != object else None
    if isinstance(first, list | tuple):
        if not first or isinstance(_leaf(first), str) or not all(isinstance(one, list | tuple) for one in values):
            return None
    elif not (isinstance(first, int | float | np.generic) and len({type(one) for one in values}) == 1):
        return None
    try:
        array = np.array(values)
    except (ValueError, OverflowError):  # not the same shape
        return None
    return array if array.dtype.kind in "biufc" else None


def _leaf(value: Any) -> Any:
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return value


def _spread(array: Any, present: Sequence[bool]) -> Any:
    np = numpy()
    assert np is not None
    whole = np.zeros((len(present), *array.shape[1:]), dtype=array.dtype)
    whole[np.array(present, dtype=bool)] = array
    return whole
