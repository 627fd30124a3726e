"""Replies as frames: values that JSON cannot say, and what is sent instead."""

from __future__ import annotations

import itertools
import json
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, field_serializer

from openenv.errors import ERRORS, OpenEnvError
from openenv.protocol import (
    EncodingFailed,
    Failed,
    McpReply,
    Observed,
    Opened,
    Reply,
    StateIs,
    http_observation,
    observation_part,
    to_json,
    unencodable,
)
from openenv.protocol.lossy import lost_values
from openenv.protocol.v1 import V1ClientCodec, V1ServerCodec
from openenv.protocol.v2 import V2ClientCodec, V2ServerCodec
from openenv.protocol.v2_msgpack import MsgpackClientCodec, MsgpackServerCodec
from openenv.types import Observation, State

NAN, INF = float("nan"), float("inf")
V1 = (V1ServerCodec, V1ClientCodec)
V2 = [(V2ServerCodec, V2ClientCodec), (MsgpackServerCodec, MsgpackClientCodec)]


class Inner(BaseModel):
    value: Any = None
    reward: Any = None


class Seen(Observation):
    x: Any = None


class Fragile(Observation):
    x: int = 1

    @field_serializer("x")
    def refuse(self, _value: int) -> int:
        raise KeyError("the author's own mistake")


def nested(depth: int, core: Any = 1) -> Any:
    for _ in range(depth):
        core = [core]
    return core


def cyclic(copies: int) -> list[Any]:
    found: list[Any] = []
    found += [found] * copies
    return found


def seen(x: Any, **fields: Any) -> Observed:
    return Observed(observation=Seen(x=x), **fields)


def strictly_parsed(frame: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(frame, parse_constant=refuse)


def travelled(codecs: Any, reply: Reply) -> Any:
    """A reply as the client reads it."""
    server, client = codecs
    frame = server().encode(reply)
    if isinstance(frame, str):
        strictly_parsed(frame)
    return client().decode(frame)


each_version = pytest.mark.parametrize("codecs", [V1, *V2], ids=["v1", "v2", "v2-msgpack"])

NO_JSON = {
    "object": object(),
    "function": nested,
    "half a surrogate pair": "\ud800",
    "key of half a surrogate pair": {"\ud800": 1},
    "list in itself": cyclic(1),
    "list in itself, forty times": cyclic(40),
    "very deep": nested(5000),
    "array of objects": np.array([object()]),
    "deep beside no JSON": [object(), nested(245)],
}
each_without_form = pytest.mark.parametrize("value", NO_JSON.values(), ids=NO_JSON.keys())


@each_version
@each_without_form
def test_an_observation_without_json_form_is_an_error_with_the_rest(codecs: Any, value: Any) -> None:
    answer = travelled(codecs, seen([1, value], reward=1.5, done=True, metadata={"a": 1}, session="s1", id=3))
    assert (answer.code, answer.retryable) == ("OBSERVATION_INVALID", False)
    assert "the environment has moved" in answer.message
    assert answer.details["reward"] == 1.5
    assert answer.details["done"] is True
    assert answer.details["metadata"] == {"a": 1}
    assert set(answer.details["observation"]) == {"x"}
    assert answer.details["observation"]["x"][0] == 1
    assert "no JSON form" in json.dumps(answer.details) or "ud800" in json.dumps(answer.details)


@each_version
@each_without_form
def test_metadata_without_json_form_is_an_error_with_the_rest(codecs: Any, value: Any) -> None:
    answer = travelled(codecs, seen(7, reward=True, metadata={"a": value, "b": 2}))
    assert answer.code == "OBSERVATION_INVALID"
    assert answer.details["observation"] == {"x": 7}
    assert answer.details["reward"] is True
    assert answer.details["metadata"]["b"] == 2


@each_version
@each_without_form
def test_a_state_without_json_form(codecs: Any, value: Any) -> None:
    answer = travelled(codecs, StateIs(state=State.model_validate({"step_count": 2, "x": value})))
    assert answer.code == "OBSERVATION_INVALID"
    assert answer.message.startswith("the state cannot be sent ")
    assert answer.details["state"]["step_count"] == 2


@each_version
@each_without_form
def test_an_error_whose_details_have_no_json_form_stays_that_error(codecs: Any, value: Any) -> None:
    error = ERRORS["EPISODE_LOST"]("it went away", details={"reason": "gave_way", "x": value})
    answer = travelled(codecs, Failed.of(error))
    assert (answer.code, answer.message) == ("EPISODE_LOST", "it went away")
    assert answer.details["reason"] == "gave_way"


@each_version
def test_an_error_whose_message_utf8_cannot_carry(codecs: Any) -> None:
    answer = travelled(codecs, Failed(code="EXECUTION_ERROR", message="boom \ud800"))
    assert (answer.code, answer.message) == ("EXECUTION_ERROR", "boom \\ud800")


@each_version
def test_an_author_whose_serializer_raises(codecs: Any) -> None:
    answer = travelled(codecs, Observed(observation=Fragile(), reward=2))
    assert (answer.code, answer.details["reward"]) == ("OBSERVATION_INVALID", 2)
    assert "the author's own mistake" in answer.message


def test_v2_keeps_the_address_of_a_reply_that_has_no_json_form() -> None:
    replies = (seen(object(), session="s1", id=3), StateIs(state=object(), session="s1", id=3))
    for codecs, reply in itertools.product(V2, replies):
        answer = travelled(codecs, reply)
        assert (answer.session, answer.id) == ("s1", 3)


def test_v1_mcp_answer_without_json_form() -> None:
    answer = travelled(V1, McpReply(payload={"x": object()}))
    assert answer.message.startswith("the answer cannot be sent as JSON: ")


@pytest.mark.parametrize("number", [NAN, INF, -INF, np.float32("nan"), np.float64("-inf"), np.array([1.0, NAN])[1]])
def test_what_is_not_finite_becomes_null_with_a_warning(number: Any) -> None:
    answer = travelled(V1, seen({"a": [0.5, number]}, metadata={"m": 1}))
    assert answer.observation == {"x": {"a": [0.5, None]}}
    assert answer.metadata == {"m": 1, "warnings": ["x.a[1]: not a finite number, sent as null"]}


@pytest.mark.parametrize(
    ("value", "sent", "where"),
    [
        (NAN, None, "x"),
        (np.array([[1.0, 2.0], [NAN, INF]]), [[1.0, 2.0], [None, None]], "x[1][0] x[1][1]"),
        (Inner(value=NAN, reward=INF), {"value": None, "reward": None}, "x.value x.reward"),
        ((1.0, NAN), [1.0, None], "x[1]"),
        ({"a": None, "b": {"c": -INF}}, {"a": None, "b": {"c": None}}, "x.b.c"),
        ({NAN}, [None], "x[0]"),
        ([NAN] * 20, [None] * 20, " ".join(f"x[{i}]" for i in range(8))),
    ],
)
def test_warnings_say_where(value: Any, sent: Any, where: str) -> None:
    answer = travelled(V1, seen(value))
    assert answer.observation == {"x": sent}
    assert [note.split(": ")[0] for note in answer.metadata["warnings"]] == where.split()


def test_metadata_that_is_not_finite() -> None:
    metadata = {"loss": INF, "none": None}
    answer = travelled(V1, Observed(observation=Seen(x=NAN, metadata=metadata), metadata=metadata))
    assert answer.metadata["loss"] is None
    assert [note.split(":")[0] for note in answer.metadata["warnings"]] == ["x", "metadata.loss"]


@pytest.mark.parametrize(
    ("own", "kept"), [(["mine"], ["mine"]), ("mine", ["mine"]), (None, [None]), ({"a": 1}, [{"a": 1}]), ([], [])]
)
def test_the_authors_own_warnings_are_kept(own: Any, kept: list[Any]) -> None:
    answer = travelled(V1, seen(NAN, metadata={"warnings": own}))
    assert answer.metadata["warnings"] == [*kept, "x: not a finite number, sent as null"]


@each_version
@pytest.mark.parametrize("value", [None, [None, 1.5], {"a": None}, "null", np.array([1.5])])
def test_no_warning_where_nothing_was_lost(codecs: Any, value: Any) -> None:
    assert travelled(codecs, seen(value, metadata={"n": None})).metadata == {"n": None}


def test_a_bare_value_that_is_not_finite() -> None:
    reply = Observed(observation={"x": NAN})
    assert travelled(V1, reply).metadata == {"warnings": ["x: not a finite number, sent as null"]}


@dataclass
class Pair:
    left: int
    right: bytes


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (np.arange(4, dtype=np.int8).reshape(2, 2), [[0, 1], [2, 3]]),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (2**70, 2**70),
        (b"text", "text"),
        (Pair(1, b"r"), {"left": 1, "right": "r"}),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(int, a=1), {"a": 1}),
        ({1: 2, None: 3}, {"1": 2, "None": 3}),
        (Inner(value=Inner(value=np.int64(1))), {"value": {"value": 1, "reward": None}, "reward": None}),
        (nested(220), nested(220)),
    ],
)
def test_observation_metadata_and_state_take_the_same_values(value: Any, sent: Any) -> None:
    answer = travelled(V1, seen(value, metadata={"m": value}))
    assert (answer.observation, answer.metadata) == ({"x": sent}, {"m": sent})
    state = State.model_validate({"x": value})
    assert travelled(V1, StateIs(state=state)).state["x"] == sent
    assert travelled(V1, Failed(code="EPISODE_LOST", message="m", details={"x": value})).details == {"x": sent}


@each_version
@pytest.mark.parametrize("reward", [1, 1.0, True, None, -0.5, 2**70, np.float64(0.25)])
def test_a_reward_keeps_its_kind(codecs: Any, reward: Any) -> None:
    got = travelled(codecs, seen(1, reward=reward)).reward
    if reward == 2**70 and codecs is V2[1]:  # more than msgpack has integers for
        reward = float(reward)
    assert got == reward
    assert json.dumps(got) == json.dumps(reward)


@each_version
def test_fields_beside_the_observation_are_not_in_it(codecs: Any) -> None:
    observation = Seen(x=1, reward=2.0, done=True, terminated=True, truncated=False, metadata={"a": 1})
    reply = Observed(observation=observation, reward=2.0, done=True, terminated=True, metadata=observation.metadata)
    assert travelled(codecs, reply).observation == {"x": 1}


def test_v1_echoes_a_request_id_once() -> None:
    codec = V1ServerCodec()
    codec.decode('{"type":"state","request_id":{"any":[1.50]}}')
    assert codec.encode(StateIs(state={})) == '{"type":"state","data":{},"request_id":{"any":[1.50]}}'
    assert codec.encode(StateIs(state={})) == '{"type":"state","data":{}}', "as of a frame too large to be decoded"


@pytest.mark.parametrize("frame", ['{"type":"nope","request_id":"r"}', '{"type":"reset","data":5,"request_id":"r"}'])
def test_v1_echoes_the_id_of_a_refused_request(frame: str) -> None:
    codec = V1ServerCodec()
    with pytest.raises(OpenEnvError) as refused:
        codec.decode(frame)
    assert json.loads(codec.encode(Failed.of(refused.value)) or "")["request_id"] == "r"


def test_v1_does_not_answer_with_the_id_of_an_earlier_request() -> None:
    codec = V1ServerCodec()
    codec.decode('{"type":"state","request_id":"old"}')
    with pytest.raises(OpenEnvError):
        codec.decode("nope")
    assert "request_id" not in json.loads(codec.encode(Failed(code="INVALID_JSON", message="m")) or "")


def test_v1_echoes_the_id_where_the_reply_has_no_json_form() -> None:
    codec = V1ServerCodec()
    codec.decode('{"type":"step","data":{},"request_id":null}')
    frame = json.loads(codec.encode(seen(object())) or "")
    assert (frame["type"], frame["request_id"]) == ("error", None)


def test_v1_has_no_message_for_opened() -> None:
    codec = V1ServerCodec()
    codec.decode('{"type":"state","request_id":"r"}')
    assert codec.encode(Opened(nonce="n", token="t")) is None


@each_version
@pytest.mark.parametrize("cls", ERRORS.values(), ids=lambda cls: cls.__name__)
def test_every_error_arrives_as_the_class_that_was_raised(codecs: Any, cls: type[OpenEnvError]) -> None:
    answer = travelled(codecs, Failed.of(cls("told", details={"n": 1})))
    error = answer.to_error()
    assert type(error) is cls
    assert (error.message, answer.retryable) == ("told", cls.retryable)
    if codecs in V2 or cls.v1_code != cls.code:
        assert error.details == {"n": 1}


def test_v1_sends_only_codes_that_v1_knows() -> None:
    for code, cls in {**ERRORS, "LATER_CODE": OpenEnvError}.items():
        frame = json.loads(V1ServerCodec().encode(Failed(code=code, message="m")) or "")
        assert frame["data"]["code"] == cls.v1_code


def test_http_body_of_an_observation_without_json_form() -> None:
    reply = seen(object(), reward=1)
    with pytest.raises(EncodingFailed, match="object has no JSON form") as failed:
        http_observation(reply, omit_empty=False)
    assert unencodable(reply, failed.value).details["reward"] == 1
    with pytest.raises(EncodingFailed):
        http_observation(seen(1, metadata={"a": object()}), omit_empty=False)


def test_lost_values_of_any_value() -> None:
    for value, lost in (({"a": [NAN]}, ["a[0]"]), (NAN, ["."]), ([None, 1.5], []), (Inner(reward=INF), ["reward"])):
        assert lost_values(value, to_json(value)) == lost


def test_the_encodable_part_of_what_is_no_model() -> None:
    assert observation_part([1, object()]) == [1, "<object: no JSON form>"]
    assert observation_part({"x": (1, object()), "reward": 2}) == {"x": [1, "<object: no JSON form>"]}
    assert observation_part(Seen(x=Inner(value={2: object()}), reward=1)) == {
        "x": {"value": {"2": "<object: no JSON form>"}, "reward": None}
    }


def test_to_json_leaves_fields_out_of_models_only() -> None:
    assert to_json(Inner(value=1), {"reward"}) == b'{"value":1}'
    assert to_json({"value": 1, "reward": 2}, {"reward"}) == b'{"value":1,"reward":2}'
