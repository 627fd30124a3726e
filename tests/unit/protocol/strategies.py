"""Values of every kind that v2 carries, drawn at random, and whether two of them are the same."""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

__all__ = ["arrays", "same", "values"]

_SCALARS = (
    nps.scalar_dtypes()
    | nps.byte_string_dtypes(min_len=1)
    | nps.unicode_string_dtypes(min_len=1)
    | nps.floating_dtypes(sizes=(16, 32, 64))
)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]))

arrays: st.SearchStrategy[np.ndarray[Any, Any]] = st.one_of(_SCALARS, nps.array_dtypes(_SCALARS)).flatmap(
    lambda dtype: nps.arrays(
        dtype, st.just(()) | nps.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3), fill=st.nothing()
    )
)
"""Arrays of any dtype that numpy has but objects, structured ones included, of any shape, size 0 included."""

_hashable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | _TEXT
    | st.binary()
    | st.uuids()
    | st.dates(),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
_leaves = st.one_of(
    _hashable,
    st.just("$openenv"),
    st.floats(),
    st.complex_numbers(),
    st.datetimes(),
    st.datetimes(timezones=st.timezones()),
    st.times(),
    st.timedeltas(),
    st.decimals(),
    _TEXT.filter(lambda text: "\0" not in text).map(Path),
    arrays,
    arrays.filter(lambda array: array.size > 0).map(lambda array: array.reshape(-1)[0]),
)

values: st.SearchStrategy[Any] = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.sets(_hashable, max_size=3),
        st.dictionaries(_TEXT | st.just("$openenv"), inner, max_size=3),
        st.dictionaries(_hashable, inner, max_size=3),
    ),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, of the same types, with NaN equal to itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray | np.generic):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=False)
        return len(one) == len(other) and all(same(a, c) and same(b, d) for (a, b), (c, d) in pairs)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    if isinstance(one, Decimal | datetime):  # of a datetime the zone's offset arrives, not its name
        return str(one) == str(other)
    return bool(one == other)
