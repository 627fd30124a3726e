"""Where two answers differ, as paths that people read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, NamedTuple

from openenv.types.ndarrays import is_numpy

__all__ = ["Difference", "differences"]

_LONGEST = 60  # characters of a value in a message
_NOTHING = object()  # stands where one of the two has no such key or item
_ONE_BY_ONE = "OScV"  # kinds of dtypes whose items are compared as Python objects


class Difference(NamedTuple):
    """One place where two values differ.

    Attributes:
        path: Where, such as ``observation.board[3]``; empty for the values as a whole.
        recorded, replayed: What is there, as text that is cut where it is long.
    """

    path: str
    recorded: str
    replayed: str

    def __str__(self) -> str:
        return f"{self.path}{': ' if self.path else ''}{self.recorded} != {self.replayed}"


def differences(recorded: Any, replayed: Any, path: str = "") -> Iterator[Difference]:
    """All places where two values differ, in the order of the first; of an array or other leaf only the first place.

    Floats are compared exactly, and NaN equals NaN. An integer equals the float of the same value, and nothing else
    of another type is equal.

    Args:
        recorded, replayed: JSON values, numpy arrays, and what else an event holds.
        path: Where they are.
    """
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        for key in dict.fromkeys((*recorded, *replayed)):
            inside = _inside(path, key)
            yield from differences(recorded.get(key, _NOTHING), replayed.get(key, _NOTHING), inside)
    elif type(recorded) is type(replayed) and isinstance(recorded, list | tuple):
        for index, (one, other) in enumerate(zip_longest(recorded, replayed, fillvalue=_NOTHING)):
            yield from differences(one, other, f"{path}[{index}]")
    elif is_numpy(type(recorded)) and is_numpy(type(replayed)):
        yield from _of_arrays(recorded, replayed, path)
    elif not _same(recorded, replayed):
        yield Difference(path, _shown(recorded), _shown(replayed))


def _inside(path: str, key: Any) -> str:
    if isinstance(key, str) and key.isidentifier():
        return f"{path}.{key}" if path else key
    return f"{path}[{key!r}]"


def _same(one: Any, other: Any) -> bool:
    if _is_number(one) and _is_number(other):
        if one != one or other != other:
            return bool(one != one and other != other)
        both_floats = isinstance(one, float) and isinstance(other, float)
        return bool(one == other) and (not both_floats or math.copysign(1, one) == math.copysign(1, other))
    if isinstance(one, complex) and isinstance(other, complex):
        return _same(one.real, other.real) and _same(one.imag, other.imag)
    return type(one) is type(other) and bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _of_arrays(recorded: Any, replayed: Any, path: str) -> Iterator[Difference]:
    """The first place where two arrays differ."""
    if recorded.dtype != replayed.dtype or recorded.shape != replayed.shape:
        yield Difference(path, _shown(recorded), _shown(replayed))
        return
    if recorded.dtype.kind in _ONE_BY_ONE:
        found = differences(recorded.tolist(), replayed.tolist(), path)
        yield from (one for one, _ in zip(found, range(1), strict=False))
        return
    import numpy

    same = recorded == replayed
    if recorded.dtype.kind == "f":
        same = same & (numpy.signbit(recorded) == numpy.signbit(replayed))
    if recorded.dtype.kind in "fmM":  # NaN and NaT
        same = same | ((recorded != recorded) & (replayed != replayed))
    if not numpy.all(same):
        where = tuple(int(index) for index in numpy.argwhere(~numpy.atleast_1d(same))[0])[: recorded.ndim]
        place = path + "".join(f"[{index}]" for index in where)
        yield Difference(place, _shown(recorded[where].item()), _shown(replayed[where].item()))


def _shown(value: Any) -> str:
    if value is _NOTHING:
        return "nothing"
    if is_numpy(type(value)):
        return f"array of {value.dtype} {tuple(value.shape)}"
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        text = type(value).__name__
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
