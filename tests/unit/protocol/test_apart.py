"""Large arrays in msgpack frames: the frame is byte for byte the one that holds them from the beginning."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from tests.unit.protocol.strategies import same

from openenv.protocol import Observed, apart
from openenv.protocol.binary import BINARY_FORM
from openenv.protocol.messages import Failed, Reply, StateIs
from openenv.protocol.v2_msgpack import MsgpackClientCodec, MsgpackServerCodec
from openenv.types import Observation
from openenv.types.ndarrays import ArrayParts

A = np.arange(20_000, dtype=np.float32).reshape(100, 200)
B, SMALL = A[::-1, ::2].astype(np.float64), A[0, :5]


def stand_in(number: int) -> bytes:
    return b"\xd8\x01openenv-array" + number.to_bytes(3)


class Seen(Observation):
    before: Any = None
    frame: Any = None
    after: Any = None


class Odd:
    """Has a form in JSON alone, by the field after an array."""

    def __repr__(self) -> str:
        return "odd"


VALUES: dict[str, Any] = {
    "one": A,
    "several": {"a": A, "b": [B, SMALL, A], "c": A},
    "inside values with a length of their own": (A, [({"deep": (B,)}, SMALL)], {1: A, 2: (B, A)}, A),
    "bytes that look like the first": [stand_in(0), A],
    "bytes that look like the second": [A, stand_in(1), B],
    "bytes that look like one outside": [(stand_in(1), A), B],
    "bytes that look like one after": [A, stand_in(0), stand_in(1)],
    "text that looks like one": ["openenv-array", A],
    "an array of bytes that look like one": (A, np.frombuffer(stand_in(0) * 5000, np.uint8)),
    "without items": [np.zeros((0, 10**6)), A],
    "big-endian, Fortran, structured": [
        A.astype(">f4"),
        np.asfortranarray(A),
        np.zeros(9000, [("x", "<f8"), ("y", "u1")]),
    ],
}


@pytest.mark.parametrize("name", VALUES)
def test_the_frame_is_the_one_without_leaving_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = VALUES[name]
    replies: list[Reply] = [
        Observed(observation=Seen(before=SMALL, frame=value, after=[value, "x"]), reward=0.5, metadata={"m": value}),
        StateIs(state={"s": value}),
        Failed(code="X", message="m", details={"observation": value}),
    ]
    frames = [MsgpackServerCodec().encode(reply) for reply in replies]
    monkeypatch.setattr(apart, "_FEWEST_BYTES", 1 << 60)
    assert frames == [MsgpackServerCodec().encode(reply) for reply in replies]
    read = MsgpackClientCodec().decode(frames[0])
    assert isinstance(read, Observed)
    assert same(read.observation["frame"], value)


def test_only_what_is_large_is_left_out() -> None:
    large, small = (ArrayParts("<f4", [count], bytes(4 * count), None) for count in (20_000, 2))
    form = apart.ApartForm()
    assert form.array(small) == BINARY_FORM.array(small)
    frame = msgspec.msgpack.encode([form.array(large), form.kind("tuple", {"items": [form.array(large)]})])
    assert len(frame) < 81_000
    assert form.whole(frame) == msgspec.msgpack.encode(
        [BINARY_FORM.array(large), BINARY_FORM.kind("tuple", {"items": [BINARY_FORM.array(large)]})]
    )
    form.array(large)
    assert form.whole(b"a field that was written in another way after all") is None


def test_a_field_without_a_form_leaves_the_rest_as_it_was() -> None:
    frame = MsgpackServerCodec().encode(Observed(observation=Seen(frame=A, after=[A, Odd()]), reward=2.0))
    failed = MsgpackClientCodec().decode(frame)
    assert isinstance(failed, Failed)
    assert np.array_equal(failed.details["observation"]["frame"], A)
    assert failed.details["reward"] == 2.0
