"""Values made up by somebody who means harm are an error of the right type at either end, and nothing else."""

from __future__ import annotations

import base64
import contextlib
import json
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from openenv.errors import InvalidRequest, ProtocolError, RemoteProtocolError
from openenv.protocol import Failed, Observed, StateIs, Step, v2
from openenv.protocol.v2 import V2ClientCodec, V2ServerCodec
from openenv.protocol.v2_msgpack import MsgpackClientCodec, MsgpackServerCodec
from openenv.types.kinds import KINDS
from openenv.types.tagged import TAGGED

PNG = TAGGED.write(Image.new("L", (1, 1)))["data"]
DEEP = 100_000

MALFORMED: list[dict[str, Any]] = [
    {"$openenv": 5},
    {"$openenv": None},
    {"$openenv": ["bytes"]},
    {"$openenv": "bytes"},
    {"$openenv": "bytes", "data": "?"},
    {"$openenv": "bytes", "data": "eA"},
    {"$openenv": "bytes", "data": "é"},
    {"$openenv": "bytes", "data": 5},
    {"$openenv": "bytes", "data": ["eA=="]},
    {"$openenv": "float", "value": "1.5"},
    {"$openenv": "float", "value": 1.5},
    {"$openenv": "int", "value": "1_0"},
    {"$openenv": "int", "value": "--1"},
    {"$openenv": "int", "value": "-"},
    {"$openenv": "int", "value": "٣"},
    {"$openenv": "int", "value": "9" * 5000},
    {"$openenv": "datetime", "value": "yesterday"},
    {"$openenv": "datetime", "value": 5},
    {"$openenv": "date", "value": "2020-13-01"},
    {"$openenv": "time", "value": ""},
    {"$openenv": "timedelta", "value": [1, 2]},
    {"$openenv": "timedelta", "value": [10**12, 0, 0]},
    {"$openenv": "timedelta", "value": ["1", 2, 3]},
    {"$openenv": "uuid", "value": "x"},
    {"$openenv": "decimal", "value": "one"},
    {"$openenv": "path"},
    {"$openenv": "complex", "value": [1]},
    {"$openenv": "complex", "value": [1, "2"]},
    {"$openenv": "enum", "name": "A.B"},
    {"$openenv": "tuple", "items": {"a": 1}},
    {"$openenv": "set", "items": [[1]]},
    {"$openenv": "set", "items": "abc"},
    {"$openenv": "frozenset", "items": [{}]},
    {"$openenv": "map", "items": [[1]]},
    {"$openenv": "map", "items": [[[1], 2]]},
    {"$openenv": "map", "items": ["ab"]},
    {"$openenv": "map", "items": {"a": 1}},
    {"$openenv": "image", "format": "png", "data": "eA=="},
    {"$openenv": "image", "format": "png", "data": PNG[: len(PNG) // 2 // 4 * 4]},
    {"$openenv": "image", "format": "gif", "data": PNG},
    {"$openenv": "scalar", "dtype": "<f4", "data": "AAA="},
    {"$openenv": "scalar", "dtype": "|O", "data": "AAAAAAAAAAA="},
    *(
        {"$openenv": "ndarray", "dtype": "<f4", "shape": [1], "data": "AAAAAA==", **wrong}
        for wrong in (
            {"dtype": dtype}
            for dtype in (
                "", "float32", "object", "i4,i4", "(2,3)f4", "numpy.float32", "<f3", "<z4", "|S9999999999999", "<U4,",
                "<f4" * 1000, "__import__('os')", "<M8[lightyear]", "|V" + "9" * 200, 5, None, True, {}, [], [[]], [5],
                ["<f4"], [["a", "<f4", 5]], [["a", "<f4", [-1]]], [["a", "<f4", [True]]], [["a", "<f4"], ["a", "<f4"]],
                [["a", "<f4", [10**9, 10**9]]], [["a", "|O"]], [[["t"], "<f4"]], [["a", [["b", "evil"]]]],
            )
        )
    ),
    *(
        {"$openenv": "ndarray", "dtype": "<f4", "shape": shape, "data": "AAAAAA=="}
        for shape in ([], [2], [-1], [-1, -1], [1.0], ["1"], [True], [10**30], [2**62, 4], 1, None, "1", [1] * 100, {})
        if shape != []
    ),
    {"$openenv": "ndarray", "dtype": "<f4", "shape": [0, 10**30], "data": ""},
    {"$openenv": "ndarray", "dtype": "|S2000000000", "shape": [0], "data": ""},
    {"$openenv": "ndarray", "dtype": "<f4", "shape": [1]},
    {"$openenv": "ndarray", "dtype": "|O", "shape": [1], "data": "AAAAAAAAAAA="},
    {"$openenv": "ndarray", "dtype": "|O", "shape": [2], "items": [1]},
    {"$openenv": "ndarray", "dtype": "|O", "shape": [10**12], "items": []},
    {"$openenv": "ndarray", "dtype": "|O", "shape": [1], "items": "a"},
    {"$openenv": "ndarray", "dtype": [["a", "|O"]], "shape": [1], "items": [5]},
    {"$openenv": "ndarray", "dtype": [["a", "|O"], ["b", "<i4"]], "shape": [1], "items": [[1]]},
    {"$openenv": "ndarray", "dtype": [["a", "|O"], ["b", "<i4"]], "shape": [1], "items": [[1, "x"]]},
    {"$openenv": "tuple", "items": [{"$openenv": "uuid", "value": "deep inside"}]},
]  # fmt: skip
each_malformed = pytest.mark.parametrize("value", MALFORMED, ids=lambda value: str(value)[:70])


def extension(kind: Any, fields: Any) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(2, msgspec.msgpack.encode([kind, fields]))


def in_msgpack(value: Any) -> Any:
    """A malformed value as an extension, with binary data where that is what JSON says in base64."""
    if isinstance(value, list):
        return [in_msgpack(item) for item in value]
    if not isinstance(value, dict) or "$openenv" not in value:
        return value
    fields = {key: in_msgpack(item) for key, item in value.items() if key != "$openenv"}
    if isinstance(fields.get("data"), str):
        try:
            fields["data"] = base64.b64decode(fields["data"], validate=True)
        except ValueError:
            fields["data"] = 5
    return extension(value["$openenv"], fields)


def fits_msgpack(value: Any) -> bool:
    try:
        msgspec.msgpack.encode(in_msgpack(value))
    except OverflowError:  # such an integer cannot even be written
        return False
    return True


@each_malformed
def test_a_json_server_answers_what_is_wrong(value: Any) -> None:
    for fields in ({"action": {"x": [value]}}, {"action": {}, "options": {"x": value}}):
        frame = json.dumps({"type": "step", "session": "s", "id": 4, **fields})
        with pytest.raises(InvalidRequest, match="kind") as refused:
            V2ServerCodec().decode(frame)
        assert (Failed.of(refused.value).session, Failed.of(refused.value).id) == ("s", 4)


@each_malformed
def test_a_json_client_cannot_read_it(value: Any) -> None:
    for fields in ({"observation": {"x": value}}, {"observation": {}, "metadata": {"x": value}}):
        with pytest.raises(RemoteProtocolError, match="this client cannot read"):
            V2ClientCodec().decode(json.dumps({"type": "observation", **fields}))
    with pytest.raises(RemoteProtocolError):
        V2ClientCodec().decode(json.dumps({"type": "state", "state": value}))
    with pytest.raises(RemoteProtocolError):
        V2ClientCodec().decode(json.dumps({"type": "error", "code": "BUSY", "message": "m", "details": {"x": value}}))


@pytest.mark.parametrize("value", list(filter(fits_msgpack, MALFORMED)), ids=lambda value: str(value)[:70])
def test_msgpack_is_no_easier(value: Any) -> None:
    step = {"type": "step", "session": "s", "id": 4, "action": {"x": in_msgpack(value)}}
    with pytest.raises(InvalidRequest) as refused:
        MsgpackServerCodec().decode(msgspec.msgpack.encode(step))
    assert (Failed.of(refused.value).session, Failed.of(refused.value).id) == ("s", 4)
    with pytest.raises(RemoteProtocolError, match="this client cannot read"):
        MsgpackClientCodec().decode(msgspec.msgpack.encode({"type": "state", "state": in_msgpack(value)}))


BODIES = {
    "empty": b"",
    "no array": b"\x05",
    "cut off": b"\x92\xa3<f",
    "one part": msgspec.msgpack.encode(["<f4"]) + b"1234",
    "three parts": msgspec.msgpack.encode(["<f4", [1], 5]) + b"1234",
    "a negative length": msgspec.msgpack.encode(["<f4", [-1]]) + b"1234",
    "a float as length": msgspec.msgpack.encode(["<f4", [1.0]]) + b"1234",
    "too few bytes": msgspec.msgpack.encode(["<f4", [2]]) + b"1234",
    "too many bytes": msgspec.msgpack.encode(["<f4", [1]]) + b"12345",
    "objects": msgspec.msgpack.encode(["|O", [1]]) + bytes(8),
    "fields that are objects": msgspec.msgpack.encode([[["a", "|O"]], [1]]) + bytes(8),
    "huge": msgspec.msgpack.encode(["<f8", [2**63, 2**63]]),
    "an array of four thousand million": b"\x92\xdd\xff\xff\xff\xff",
    "a text of four thousand million": b"\x92\xdb\xff\xff\xff\xff",
    "deep": b"\x91" * DEEP,
}


@pytest.mark.parametrize("data", BODIES.values(), ids=BODIES.keys())
def test_bodies_of_arrays(data: bytes) -> None:
    state = {"type": "state", "state": msgspec.msgpack.Ext(1, data)}
    with pytest.raises(RemoteProtocolError, match="this client cannot read"):
        MsgpackClientCodec().decode(msgspec.msgpack.encode(state))
    with pytest.raises(InvalidRequest):
        MsgpackServerCodec().decode(msgspec.msgpack.encode({"type": "step", "action": state["state"]}))


@pytest.mark.parametrize(
    "data", [b"", b"\x05", b"\x92", b"\x93\xa1a\x80\x80", b"\x92\x05\x80", b"\x92\xa5bytes\x05", b"\x92\xa5bytes\x80"]
)
def test_bodies_of_other_kinds(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="this client cannot read"):
        MsgpackClientCodec().decode(msgspec.msgpack.encode({"type": "state", "state": msgspec.msgpack.Ext(2, data)}))


def nested(depth: int) -> msgspec.msgpack.Ext:
    """Tuples in tuples, each an extension in an extension."""
    data = b"\xc0"
    for _ in range(depth):
        data = b"\x92\xa5tuple\x81\xa5items\x91" + data
        data = b"\xc9" + struct.pack(">I", len(data)) + b"\x02" + data
    return msgspec.msgpack.Ext(2, data[6:])


@pytest.mark.parametrize("depth", [200, 5000])
def test_extensions_in_extensions(depth: int) -> None:
    frame = msgspec.msgpack.encode({"type": "step", "action": nested(depth)})
    if depth == 200:
        step = MsgpackServerCodec().decode(frame)
        assert isinstance(step, Step)
        assert isinstance(step.action, tuple)
        return
    with pytest.raises(InvalidRequest):
        MsgpackServerCodec().decode(frame)


@pytest.mark.parametrize("nest", ["[", '{"a":', '{"$openenv":"tuple","items":['])
def test_deep_json(nest: str) -> None:
    close = {"[": "]", '{"a":': "}"}.get(nest, "]}")
    deep = '{"$openenv":"tuple","items":[' + nest * DEEP + "1" + close * DEEP + "]}"
    with pytest.raises(ProtocolError):
        V2ServerCodec().decode(f'{{"type":"step","action":{{"x":{deep}}}}}')
    with pytest.raises(RemoteProtocolError):
        V2ClientCodec().decode(f'{{"type":"state","state":{deep}}}')


def test_what_can_be_parsed_and_is_too_deep_to_be_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = '{"type":"state","session":"s","id":4,"state":{"x":[{"$openenv":"set","items":[]}]}}'

    def too_deep(value: Any) -> Any:
        raise RecursionError("maximum recursion depth exceeded")

    monkeypatch.setattr(v2, "untagged", too_deep)
    with pytest.raises(RemoteProtocolError, match="recursion"):
        V2ClientCodec().decode(frame)
    with pytest.raises(InvalidRequest, match="recursion"):
        V2ServerCodec().decode('{"type":"step","action":{"$openenv":1}}')


def test_deep_msgpack() -> None:
    for head in (b"\x91", b"\x81\xa1a"):
        deep = head * DEEP + b"\xc0"
        frame = b"\x82\xa4type\xa4step\xa6action" + deep
        with pytest.raises(InvalidRequest):
            MsgpackServerCodec().decode(frame)
        with pytest.raises(RemoteProtocolError):
            MsgpackClientCodec().decode(b"\x82\xa4type\xa5state\xa5state" + deep)


def test_names_have_to_be_text_with_values() -> None:
    for names in ({"$openenv": "map", "items": [[1, 2]]}, {"$openenv": "tuple", "items": []}):
        with pytest.raises(InvalidRequest, match="names"):
            V2ServerCodec().decode(json.dumps({"type": "reset", "options": names}))
        with pytest.raises(RemoteProtocolError, match="names"):
            V2ClientCodec().decode(json.dumps({"type": "observation", "observation": {}, "metadata": names}))


def test_kinds_of_later_versions_stay_what_they_are() -> None:
    later = {"$openenv": "quaternion", "value": [1, {"$openenv": "bytes", "data": "eA=="}]}
    got = V2ClientCodec().decode(json.dumps({"type": "state", "state": {"q": later}}))
    assert got.state == {"q": later}  # type: ignore[union-attr]
    sent = {"a": extension("quaternion", {"value": [1]}), "b": msgspec.msgpack.Ext(77, b"x")}
    got = MsgpackClientCodec().decode(msgspec.msgpack.encode({"type": "state", "state": sent}))
    assert got.state == {  # type: ignore[union-attr]
        "a": {"$openenv": "quaternion", "value": [1]},
        "b": msgspec.msgpack.Ext(77, b"x"),
    }


def test_a_tag_may_be_written_with_escapes() -> None:
    frame = '{"type":"step","action":{"x":{"\\u0024open\\u0065nv":"bytes","data":"eA=="}}}'
    for text in (frame, frame.encode()):
        step = V2ServerCodec().decode(text)
        assert isinstance(step, Step)
        assert step.action == {"x": b"x"}


def test_of_equal_keys_the_last_counts() -> None:
    state = '{"$openenv":"bytes","data":"eA==","data":"eQ=="}'
    assert V2ClientCodec().decode(f'{{"type":"state","state":{state}}}').state == b"y"  # type: ignore[union-attr]


def test_msgpack_wants_binary_frames() -> None:
    with pytest.raises(InvalidRequest, match="speaks msgpack; send binary frames"):
        MsgpackServerCodec().decode('{"type":"state"}')
    with pytest.raises(RemoteProtocolError, match="this client cannot read"):
        MsgpackClientCodec().decode("{}")


@given(data=st.binary(max_size=60), code=st.sampled_from([1, 2, 3]))
def test_any_extension_is_a_value_or_an_error(data: bytes, code: int) -> None:
    frame = msgspec.msgpack.encode({"type": "observation", "observation": msgspec.msgpack.Ext(code, data)})
    with contextlib.suppress(RemoteProtocolError):
        assert isinstance(MsgpackClientCodec().decode(frame), Observed)


_json = st.recursive(
    st.none() | st.integers(-3, 300) | st.sampled_from(["", "<f4", "|O", "eA==", "AAAAAA==", "nan", "2020-01-01"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(
    kind=st.sampled_from(sorted(KINDS)),
    fields=st.dictionaries(st.sampled_from(["data", "dtype", "shape", "items", "value", "name", "format"]), _json),
)
def test_any_fields_are_a_value_or_an_error(kind: str, fields: dict[str, Any]) -> None:
    value = {"$openenv": kind, **fields}
    with contextlib.suppress(RemoteProtocolError):
        assert isinstance(V2ClientCodec().decode(json.dumps({"type": "state", "state": value})), StateIs)
    with contextlib.suppress(RemoteProtocolError):
        frame = msgspec.msgpack.encode({"type": "state", "state": in_msgpack(value)})
        assert isinstance(MsgpackClientCodec().decode(frame), StateIs)
