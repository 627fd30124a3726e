"""Arrays of every dtype, shape and layout travel in both forms of v2."""

from __future__ import annotations

import sys
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.protocol.strategies import arrays, same
from tests.unit.protocol.travel import FORMS, Seen, each_form, received

from openenv.protocol import Observed


@each_form
@settings(deadline=None)
@given(array=arrays, data=st.data())
def test_any_array_arrives(form: Any, array: np.ndarray[Any, Any], data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        array = np.asfortranarray(array)
    if array.ndim and data.draw(st.booleans()):
        array = array[::-1]
    if data.draw(st.booleans()):
        array = array.copy()
        array.flags.writeable = False
    got = received(form, Observed(observation=Seen(x=array))).observation["x"]
    assert same(got, np.ascontiguousarray(array).reshape(array.shape))
    assert got.flags.writeable
    assert got.flags.owndata


ALIGNED = np.dtype([("a", "i1"), ("b", "f8")], align=True)
OVERLAPPING = np.dtype({"names": ["a", "b"], "formats": ["<i4", "<i2"], "offsets": [0, 2]})
ARRAYS = {
    "objects": np.array([1, "a", None, b"\xff", (1, 2)], dtype=object),
    "objects of objects": np.array([[{"a": np.float32(1)}], [np.arange(3)]], dtype=object),
    "no objects": np.empty((0, 2), dtype=object),
    "one object": np.array({"a": 1}, dtype=object),
    "fields that are objects": np.array([(1, [1, 2]), (2, None)], dtype=[("a", "<i4"), ("b", "O")]),
    "fields with gaps": np.array([(1, 2.5)], dtype=ALIGNED),
    "nested fields": np.zeros(2, dtype=[("a", [("b", ">i2"), ("c", "S3")]), ("d", "<f4", (2, 2))]),
    "titled fields": np.zeros(2, dtype=[(("title", "a"), "<i4")]),
    "void": np.array([b"abc", b"de"], dtype="V3"),
    "variable text": np.array(["a", "é"], dtype=np.dtypes.StringDType()),
    "long double": np.array([1, 2], dtype=np.longdouble),
    "generic datetime": np.array(["NaT"], dtype="M8"),
    "multiples of a unit": np.array([1, 2], dtype="m8[25s]"),
}


@each_form
@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS.keys())
def test_arrays_of_unusual_dtypes(form: Any, array: np.ndarray[Any, Any]) -> None:
    got = received(form, Observed(observation=Seen(x=array))).observation["x"]
    assert (got.dtype, got.shape) == (array.dtype, array.shape)
    assert repr(got.tolist()) == repr(array.tolist())
    assert got.flags.writeable
    assert got.flags.owndata


@each_form
def test_overlapping_fields_arrive_packed(form: Any) -> None:
    array = np.zeros(2, dtype=OVERLAPPING)
    array["a"] = [1, 70_000]
    got = received(form, Observed(observation=Seen(x=array))).observation["x"]
    assert got.dtype.names == ("a", "b")
    assert got.tolist() == array.tolist()


def test_tensors_of_other_libraries_are_arrays_where_that_is_cheap() -> None:
    class Tensor:
        def __init__(self, fails: bool) -> None:
            self.fails = fails

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            if self.fails:
                raise RuntimeError("it has a gradient")
            return np.ones(2, np.float16)

        def tolist(self) -> list[float]:
            return [1.0, 1.0]

    got = [
        received(form, Observed(observation=Seen(x=Tensor(fails)))).observation["x"]
        for form in FORMS
        for fails in (0, 1)
    ]
    assert same(got, [np.ones(2, np.float16), [1.0, 1.0]] * 2)


@each_form
def test_without_numpy_an_array_is_a_plain_object(form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = form[0]().encode(Observed(observation=Seen(x=[np.ones(2, "<i2"), UUID(int=1)])))
    monkeypatch.setitem(sys.modules, "numpy", None)
    got = form[1]().decode(frame).observation["x"]
    monkeypatch.undo()
    assert got == [
        {"$openenv": "ndarray", "dtype": "<i2", "shape": [2], "data": b"\x01\x00\x01\x00"},
        UUID(int=1),
    ]
