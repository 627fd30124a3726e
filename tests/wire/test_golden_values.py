"""Golden values: what every kind of value is on the wire, in both forms of v2, and every frame of v2 in msgpack.

A file in ``golden/values`` has the value as JSON (``frame``) and as msgpack in hex (``msgpack``); which value it is,
``VALUES`` says. A file in ``golden/v2`` has its frame in msgpack too.
"""

from __future__ import annotations

import datetime
import enum
import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pytest
from PIL import Image
from tests.unit.protocol.strategies import same
from tests.wire.test_golden import GOLDEN, REPLIES, REQUESTS, golden, on_the_server, plain, read

from openenv.protocol import Request, StateIs
from openenv.protocol.binary import BINARY_FORM
from openenv.protocol.v2 import V2ClientCodec
from openenv.protocol.v2_msgpack import MsgpackClientCodec, MsgpackServerCodec
from openenv.types.kinds import KINDS
from openenv.types.tagged import TAGGED


class Colour(enum.Enum):
    RED = "r"


VALUES: dict[str, Any] = {
    "bytes": b"\x00\xff",
    "float_nan": float("nan"),
    "float_inf": float("inf"),
    "float_minus_inf": float("-inf"),
    "ndarray": np.array([[1.5, -2.0]], dtype="<f4"),
    "ndarray_bool": np.array([True, False]),
    "ndarray_big_endian": np.array([1, 2], dtype=">i2"),
    "ndarray_without_axes": np.array(7, dtype="<i8"),
    "ndarray_without_items": np.zeros((0, 2), dtype="|u1"),
    "ndarray_text": np.array(["a", "bc"], dtype="<U2"),
    "ndarray_datetime": np.array(["2020-01-02"], dtype="<M8[D]"),
    "ndarray_complex": np.array([1 + 2j], dtype="<c8"),
    "ndarray_structured": np.array([(1, 0.5)], dtype=[("a", "<i2"), ("b", "<f4")]),
    "ndarray_objects": np.array([1, None, b"x"], dtype=object),
    "scalar": np.float32(1.5),
    "datetime": datetime.datetime(2020, 1, 2, 3, 4, 5, 678, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
    "datetime_naive": datetime.datetime(2020, 1, 2, 3, 4, 5),
    "date": datetime.date(2020, 1, 2),
    "time": datetime.time(3, 4, 5),
    "timedelta": datetime.timedelta(days=-1, seconds=5, microseconds=7),
    "uuid": UUID("12345678-1234-5678-1234-567812345678"),
    "decimal": Decimal("1.10"),
    "path": Path("/a/b"),
    "complex": complex(1.0, float("nan")),
    "int": 2**64,
    "int_negative": -(2**63) - 1,
    "enum": Colour.RED,
    "tuple": (1, ("a",)),
    "set": {1},
    "frozenset": frozenset({"a"}),
    "map": {(0, 1): "x"},
    "map_as_escape": {"$openenv": "bytes"},
    "image": Image.new("L", (1, 1), 255),
    "nested": {"a": [{"b": (b"\xff",)}]},
}


def file_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / "values" / f"{name}.json").read_text())
    return found


each_value = pytest.mark.parametrize("name", VALUES)


def test_every_file_is_of_a_value_and_every_kind_has_one() -> None:
    assert {path.stem for path in (GOLDEN / "values").glob("*.json")} == set(VALUES)
    assert set(KINDS) <= {file_of(name)["frame"].get("$openenv") for name in VALUES}


@each_value
def test_a_value_is_written_as_its_golden_form(name: str) -> None:
    file = file_of(name)
    if name == "image":  # another version of Pillow may compress it otherwise
        file["frame"]["data"] = TAGGED.write(VALUES[name])["data"]
    else:
        assert msgspec.msgpack.encode(BINARY_FORM.write(VALUES[name])).hex() == file["msgpack"]
    assert TAGGED.write(VALUES[name]) == file["frame"]


@each_value
def test_a_value_is_read_from_its_golden_form(name: str) -> None:
    file, value = file_of(name), VALUES[name]
    in_json = V2ClientCodec().decode(json.dumps({"type": "state", "state": file["frame"]}))
    frame = bytes.fromhex("82a474797065a57374617465a57374617465" + file["msgpack"])
    in_msgpack = MsgpackClientCodec().decode(frame)
    for got in (in_json, in_msgpack):
        assert isinstance(got, StateIs)
        match value:
            case Colour():
                assert got.state == value.value
            case Image.Image():
                assert (got.state.mode, got.state.tobytes()) == (value.mode, value.tobytes())
            case np.ndarray() if value.dtype.hasobject:
                assert (got.state.dtype, got.state.tolist()) == (value.dtype, value.tolist())
            case _:
                assert same(got.state, value)


@pytest.mark.parametrize(("version", "file"), golden("v2"))
def test_frames_of_v2_in_msgpack(version: str, file: dict[str, Any]) -> None:
    expected = msgspec.msgpack.encode(file["frame"])
    assert file.get("msgpack") == expected.hex(), f'add "msgpack": "{expected.hex()}" to the file'
    if file["direction"] == "request":
        message, got = read(file["message"], REQUESTS), MsgpackServerCodec().decode(expected)
    else:
        message, got = read(file["message"], REPLIES), MsgpackClientCodec().decode(expected)
    assert type(got) is type(message)
    assert plain(got) == plain(message)
    writer = "client" if file["direction"] == "request" else "server"
    if writer not in file.get("read_by", writer):
        return
    written = (
        MsgpackClientCodec().encode(message)
        if isinstance(message, Request)
        else MsgpackServerCodec().encode(on_the_server(file["message"]))
    )
    assert msgspec.msgpack.decode(written) == file["frame"]
