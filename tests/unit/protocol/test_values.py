"""Values of every kind travel in both forms of v2, in both directions, and arrive as they were."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import io
import json
import sys
from collections import OrderedDict, deque, namedtuple
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from PIL import Image
from pydantic import AnyUrl, BaseModel, SecretStr, computed_field, field_serializer
from tests.unit.protocol.strategies import same, values
from tests.unit.protocol.travel import Seen, action_of, asked, each_form, received

from openenv import Action, Observation, State
from openenv.errors import ActionInvalid, LocalProtocolError
from openenv.protocol import Failed, Observed, Reset, StateIs, Step
from openenv.protocol.v1 import V1ClientCodec
from openenv.protocol.v2 import V2ClientCodec, V2ServerCodec

NAN = float("nan")


class Inner(BaseModel):
    value: Any = None


class Colour(enum.Enum):
    RED = "r"
    DEEP = (1, b"x")


class Flag(enum.IntFlag):
    A = 1
    B = 2


@dataclasses.dataclass
class Pair:
    left: int
    right: bytes


Named = namedtuple("Named", "a b")


@each_form
@settings(deadline=None)
@given(value=values)
def test_any_value_arrives_from_a_server(form: Any, value: Any) -> None:
    seen = received(form, Observed(observation=Seen(x=value), metadata={"m": [value]}, reward=0.5))
    assert isinstance(seen, Observed), seen
    assert same(seen.observation, {"x": value})
    assert same(seen.metadata, {"m": [value]})
    assert same(received(form, StateIs(state=State.model_validate({"x": (value,)}))).state["x"], (value,))
    assert same(received(form, Failed(code="BUSY", message="m", details={"a": value})).details, {"a": value})


@each_form
@settings(deadline=None)
@given(value=values)
def test_any_value_arrives_from_a_client(form: Any, value: Any) -> None:
    step = asked(form, Step(session="s", id=2, ack=1, action={"x": value}, timeout_s=1.5, options={"o": value}))
    assert same(action_of(step), {"x": value})
    assert same(step.options, {"o": value})
    assert (step.session, step.id, step.ack, step.timeout_s) == ("s", 2, 1, 1.5)
    assert same(asked(form, Reset(seed=3, options={"o": value})).options, {"o": value})


@each_form
@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        (Colour.RED, "r"),
        ([Colour.DEEP], [(1, b"x")]),
        (Flag.A | Flag.B, 3),
        ({Colour.RED: 1}, {"r": 1}),
        (bytearray(b"a"), b"a"),
        (memoryview(b"a"), b"a"),
        (Named(1, b"\xff"), (1, b"\xff")),
        (Pair(1, b"\xff"), {"left": 1, "right": b"\xff"}),
        (OrderedDict(a=(1,)), {"a": (1,)}),
        (deque([(1,)]), [(1,)]),
        (Inner(value=Inner(value={1: NAN})), {"value": {"value": {1: NAN}}}),
        (AnyUrl("http://a/b"), "http://a/b"),
        (SecretStr("x"), "**********"),
        (np.array([(1, 2)], dtype="i4,i4").view(np.recarray), np.array([(1, 2)], dtype="i4,i4")),
        (np.ma.array([1, 2]), np.array([1, 2])),
        (datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)),
        (2**64, 2**64),
        ([2**64 - 1, -(2**63)], [2**64 - 1, -(2**63)]),
        ([1, -(2**63) - 1], [1, -(2**63) - 1]),
        ([0.5, NAN], [0.5, NAN]),
        ({"$openenv": "bytes", "data": "eA=="}, {"$openenv": "bytes", "data": "eA=="}),
        ({"a": {"$openenv": {"$openenv": 1}}}, {"a": {"$openenv": {"$openenv": 1}}}),
    ],
)
def test_what_becomes_of_other_types(form: Any, sent: Any, arrives: Any) -> None:
    assert same(received(form, Observed(observation=Seen(x=sent))).observation["x"], arrives)
    assert same(action_of(asked(form, Step(action={"x": sent})))["x"], arrives)


@each_form
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_images(form: Any, mode: str) -> None:
    image = Image.new(mode, (3, 2))
    image.putpixel((1, 1), image.getpixel((1, 1)))
    got = received(form, Observed(observation=Seen(x=[image]))).observation["x"][0]
    assert (got.mode, got.size, got.tobytes()) == (image.mode, image.size, image.tobytes())


@each_form
@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Image.new("CMYK", (1, 1)), "mode CMYK has no lossless PNG"),
        (np.ma.array([1, 2], mask=[0, 1]), "masked array"),
        pytest.param(10**5000, "bits is too long", id="a long integer"),
        (object(), "object has no form"),
        (lambda: 1, "function has no form"),
        ([np.array([object()])], "object has no form"),
    ],
)
def test_what_has_no_form_is_an_error_with_the_rest(form: Any, value: Any, told: str) -> None:
    rest = {"frame": np.arange(3, dtype="<i2"), "nan": NAN, "pair": (1, b"\xff"), 5: {1, 2}}
    reply = Observed(observation=Seen(x={**rest, "bad": value}), reward=1.5, done=True, metadata={"at": (1,)})
    failed = received(form, reply)
    assert failed.code == "OBSERVATION_INVALID"
    assert told in failed.message
    note = failed.details["observation"]["x"].pop("bad")
    assert "no JSON form" in str(note)
    expected = {"observation": {"x": rest}, "reward": 1.5, "done": True, "metadata": {"at": (1,)}}
    assert same(failed.details, expected)
    with pytest.raises(ActionInvalid, match=told):
        form[1]().encode(Step(action={"x": value}))
    with pytest.raises(LocalProtocolError, match=f"options cannot be sent.*{told}"):
        form[1]().encode(Reset(options={"x": value}))


def test_v1_refuses_what_plain_json_would_lose() -> None:
    client = V1ClientCodec()
    assert client.encode(Step(action={"x": np.arange(2)})) == '{"type":"step","data":{"x":[0,1]}}'
    for lost in (NAN, {"y": float("inf")}, [np.float32("nan")]):
        with pytest.raises(ActionInvalid, match=r"x.* is not a finite number"):
            client.encode(Step(action={"x": lost}))
        with pytest.raises(LocalProtocolError, match=r"x.* is not a finite number"):
            client.encode(Reset(options={"x": lost}))
    with pytest.raises(ActionInvalid, match="cannot be sent as JSON"):
        client.encode(Step(action={"x": object()}))


class Move(Action):
    frame: NDArray[np.float32]
    raw: bytes = b""
    note: str = "a"


class Note(Action):
    note: str = "a"


@each_form
def test_a_typed_action_is_read_as_it_was(form: Any) -> None:
    action = Move(frame=np.ones((2, 2), np.float32), raw=b"\xff", metadata={"p": 0.5})
    read = Move.model_validate(asked(form, Step(action=action)).action)
    assert same(read.frame, action.frame)
    assert (read.raw, read.note, read.metadata) == (b"\xff", "a", {"p": 0.5})


@each_form
@pytest.mark.parametrize(
    "action", [Note(note="é"), {"note": "é", "metadata": {}}, Note(note="é", metadata={"a": [1.5]})]
)
def test_a_plain_action_stays_json_text(form: Any, action: Any) -> None:
    read = asked(form, Step(action=action)).action
    assert isinstance(read, msgspec.Raw)
    wanted = action if isinstance(action, dict) else action.model_dump()
    assert json.loads(bytes(read)) == wanted
    again = asked(form, Step(action=msgspec.Raw(bytes(read)))).action
    assert json.loads(bytes(again)) == wanted


class Written(Observation):
    """A model with a say in how it is written."""

    x: Any = None
    odd: Any = None
    n: int = 1

    @field_serializer("n")
    def twice(self, n: int) -> int:
        return 2 * n

    @field_serializer("odd", when_used="json")
    def shown(self, odd: Any) -> str:
        return f"odd {odd!r}"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> tuple[int, int]:
        return self.n, 5


@each_form
def test_serializers_and_computed_fields_are_honoured(form: Any) -> None:
    seen = received(form, Observed(observation=Written(x=np.float32(2), n=4)))
    assert same(seen.observation, {"x": np.float32(2), "odd": None, "n": 8, "total": (4, 5)})


@each_form
def test_what_has_a_form_in_json_alone_takes_it_and_the_rest_keeps_its_own(form: Any) -> None:
    seen = received(form, Observed(observation=Written(x=b"\xff", odd=len)))
    assert same(seen.observation, {"x": b"\xff", "odd": "odd <built-in function len>", "n": 2, "total": (1, 5)})


@each_form
@pytest.mark.parametrize("reward", [1, True, None, 0.25, np.float64(0.25), np.float32(0.5), np.int64(3), 2**63])
def test_a_reward_keeps_its_kind(form: Any, reward: Any) -> None:
    got = received(form, Observed(observation=Seen(), reward=reward)).reward
    assert got == reward
    assert type(got) is type(reward.item() if isinstance(reward, np.integer | np.bool_) else reward) or isinstance(
        reward, np.floating
    )


@each_form
def test_names_beside_the_observation_are_text(form: Any) -> None:
    seen = received(form, Observed(observation=Seen(), metadata={1: "a", "$openenv": 2}))  # type: ignore[dict-item]
    assert seen.metadata == {"1": "a", "$openenv": 2}


def test_an_image_without_pillow_is_a_content_block(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = V2ServerCodec().encode(Observed(observation=Seen(x=Image.new("L", (2, 1)))))
    monkeypatch.setitem(sys.modules, "PIL", None)
    block = V2ClientCodec().decode(frame).observation["x"]
    monkeypatch.undo()
    assert type(block).__name__ == "ImageContent"
    assert Image.open(io.BytesIO(block.data)).size == (2, 1)
