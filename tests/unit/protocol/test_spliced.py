"""Large arrays in plain JSON: written apart by orjson, and the text is the one that it was without."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from pydantic import Field

from openenv.protocol import Observed, http_observation, spliced, to_json
from openenv.protocol.v1 import V1ServerCodec
from openenv.types import Observation

DTYPES = [np.dtype(name) for name in ("bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")]
BIG = np.arange(100, dtype=np.float32) / np.float32(10)


class Seen(Observation):
    text: str = ""
    frame: NDArray[Any]
    more: dict[str, Any] = Field(default_factory=dict)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a function gives where orjson is not installed."""

    def given_without(function: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(spliced, "_orjson", lambda: None)
            return function()

    return given_without


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(max_dims=3, max_side=6).map(lambda shape: (*shape, 32)))
    )
)
def test_the_values_are_those_of_the_nested_list(array: np.ndarray[Any, Any]) -> None:
    with np.errstate(invalid="ignore"):
        exact = np.where(np.isfinite(array), array, 0) if array.dtype.kind == "f" else array
    exact = exact.astype(array.dtype)
    for one in (exact, exact.T, exact[::-1]):
        assert json.loads(to_json({"a": one}))["a"] == one.tolist()


@pytest.mark.parametrize(
    "observation",
    [
        Seen(frame=BIG),
        Seen(frame=BIG.reshape(4, 25).T, more={"a": [BIG, {"b": BIG[::-1]}], "small": BIG[:3]}),
        Seen(frame=BIG, text='$openenv array 0 "$openenv array 1"', metadata={"m": BIG}),
        Seen(frame=BIG, text="$openenv array 0"),
        Seen(frame=BIG, more={"$openenv array 0": "$openenv array 0"}),
        Seen(frame=BIG, text="$openenv array 1", more={"$openenv array 0": BIG}),
        Seen(frame=BIG.astype(">f4"), more={"big": BIG.astype(">i8")}),
        Seen(frame=np.float32([np.nan, *BIG]), metadata={"m": np.float64([*BIG, -np.inf])}),
        Seen(frame=np.ma.masked_array(BIG, BIG > 5)),
        Seen(frame=np.zeros((0, 70)), more={"matrix": BIG[:, None], "scalar": BIG[3]}),
    ],
)
def test_a_reply_is_the_same_with_orjson_and_without(observation: Seen, without: Any) -> None:
    reply = Observed(observation=observation, reward=0.5, metadata=observation.metadata)
    for write in (
        lambda: http_observation(reply, omit_empty=False).decode(),
        lambda: V1ServerCodec().encode(reply),
        lambda: to_json(observation).decode(),
    ):
        assert json.loads(write()) == json.loads(without(write))
        assert write() == without(write)


def test_orjson_writes_them() -> None:
    pieces = spliced.Spliced()
    name = pieces.stand_in(BIG)
    assert pieces.pieces(json.dumps([name]).encode()) == [
        b"[",
        json.dumps(BIG.tolist(), separators=(",", ":")).encode(),
        b"]",
    ]
    pieces.stand_in(BIG)  # and then written in another way, as a union may be
    assert pieces.pieces(json.dumps([name]).encode()) is None
    for other in (
        BIG[:63],
        BIG.astype(">f4"),
        BIG + np.inf,
        BIG.astype(complex),
        BIG.astype(np.longdouble),
        BIG.tolist(),
        1.5,
    ):
        assert spliced.Spliced().stand_in(other) is None


def test_a_model_dumps_lists_for_everybody_else() -> None:
    assert json.loads(Seen(frame=BIG).model_dump_json())["frame"] == BIG.tolist()
    assert Seen(frame=BIG).model_dump(mode="json")["frame"] == BIG.tolist()
