"""Frames between a server and a worker: what goes in comes out, and what no worker may send is refused."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.unit.session.isolation.crashing import Move, Plain, Seen, World

from openenv.environment import EnvironmentPlan
from openenv.errors import ActionInvalid, ExecutionFailed, RemoteProtocolError
from openenv.protocol import Close, Closed, Failed, GetState, Observed, Opened, Reset, StateIs, Step
from openenv.session.isolation import frames
from openenv.session.isolation.frames import HEAD, Frame
from openenv.session.isolation.reader import FrameReader

RICH = {"array": np.arange(3.0), "bytes": b"\xff", (1, 2): "tuple", "nan": math.nan, "long": 10**30}


def packed(*given: Frame) -> bytes:
    return b"".join(HEAD.pack(len(body), kind) + body for kind, body in given)


def fed(reader: FrameReader, data: bytes, most: int) -> list[Frame]:
    found: list[Frame] = []
    while data:
        space = reader.space()
        count = min(len(space), most, len(data))
        space[:count], data = data[:count], data[count:]
        found += reader.filled(count)
    return found


@pytest.mark.parametrize("most", [1, 3, 7, 4096, 1 << 20])
def test_frames_come_out_whole_however_their_bytes_come(most: int) -> None:
    sizes = (0, 1, 5, 65531, 65532, 3) if most > 3 else (0, 1, 5, 3)
    sent = [(number % 5, bytes([number]) * size) for number, size in enumerate(sizes)]
    assert fed(FrameReader(), packed(*sent, *sent), most) == [*sent, *sent]


def test_a_frame_that_is_too_large_is_refused() -> None:
    reader = FrameReader(largest=100_000)
    assert [len(body) for _, body in fed(reader, packed((1, b"x" * 100_000)), 1 << 20)] == [100_000]
    with pytest.raises(RemoteProtocolError, match="100001 bytes is larger than 100000"):
        fed(reader, HEAD.pack(100_001, 1), 1 << 20)


def there(request: Any) -> Any:
    return frames.reading_request(frames.request_frame(request))


def test_an_action_in_json_arrives_as_the_same_text() -> None:
    text = b'{ "a": 1.0, "$openenv": "bytes", "long": 123456789012345678901234567890 }'
    found = there(Step(action=msgspec.Raw(text), timeout_s=1.5, options={"rich": RICH}))
    assert (found.action, found.timeout_s) == (text, 1.5)
    assert_same(found.options["rich"], RICH)
    assert there(Step(action=text)) == Step(action=text)


def test_an_action_beyond_json_arrives_as_the_same_value() -> None:
    assert_same(there(Step(action={"rich": RICH})).action["rich"], RICH)


@pytest.mark.parametrize("request_", [Reset(seed=3, episode_id="e", options={"a": [1]}), GetState(), Close()])
def test_the_other_requests_arrive(request_: Any) -> None:
    assert there(request_) == request_


@pytest.mark.parametrize(
    "request_",
    [Step(action={"o": object()}), Step(action=b"{}", options={"o": object()}), Reset(options={"o": object()})],
)
def test_what_has_no_form_is_refused_before_it_is_sent(request_: Any) -> None:
    with pytest.raises(ActionInvalid, match="object"):
        frames.request_frame(request_)


def back(reply: Any) -> Any:
    return frames.reading_reply(frames.reply_frame(reply))


def test_an_observation_comes_back_with_every_value() -> None:
    found = back(Observed(observation=Seen(value=RICH), reward=2, done=True, truncated=True, metadata={"m": RICH}))
    assert_same(found.observation["value"], RICH)
    assert_same(found.metadata["m"], RICH)
    assert (found.reward, found.done, found.terminated, found.truncated) == (2, True, False, True)


@pytest.mark.parametrize("reward", [None, True, 0.5, 7, np.float32(0.5)])
def test_plain_observations_go_in_json_and_come_back_the_same(reward: Any) -> None:
    kind, _ = frame = frames.reply_frame(Observed(observation=Plain(text="ä$"), reward=reward, metadata={"m": RICH}))
    found = frames.reading_reply(frame)
    assert kind == (frames.PACKED if type(reward) in (int, np.float32) else frames.JSON)
    assert (found.observation, found.reward) == ({"text": "ä$", "number": 0.0}, reward)
    assert_same(found.metadata["m"], RICH)
    assert_same(back(Observed(observation=Plain(number=math.nan))).observation, {"text": "", "number": math.nan})


def test_states_and_errors_come_back() -> None:
    assert_same(back(StateIs(state={"rich": RICH})).state["rich"], RICH)
    error = ExecutionFailed("why", details={"rich": RICH})
    found = back(error).to_error()
    assert (type(found), found.message) == (ExecutionFailed, "why")
    assert_same(found.details["rich"], RICH)
    assert back(Closed()) == Closed()


def test_a_plan_comes_back_but_for_its_types() -> None:
    plan = EnvironmentPlan.of(World)
    found = frames.reading_plan(frames.built_frame(plan))
    assert isinstance(found, EnvironmentPlan)
    for name in ("name", "is_async", "reset", "step", "lifecycle", "concurrent", "needs_own_thread"):
        assert getattr(found, name) == getattr(plan, name)
    assert plan.action_type is Move


def hostile() -> list[Frame]:
    encode = msgspec.msgpack.encode
    return [
        (frames.PACKED, b"\xc1"),
        (frames.PACKED, b""),
        (frames.PACKED, encode({"type": "observation"})),
        (frames.PACKED, encode({"type": "observation", "observation": {}, "reward": math.inf})),
        (frames.PACKED, encode({"type": "observation", "observation": {}, "reward": "high"})),
        (frames.PACKED, encode({"type": "state", "state": msgspec.msgpack.Ext(1, b"\x92\xa2<f\x91\x05")})),
        (frames.PACKED, encode(Opened(nonce="n", token="t"))),
        (frames.JSON, b'{"type": "observation", "observation": ' + b"[" * 100_000),
        (frames.JSON, b'{"type": "state", "state": {"$openenv": "ndarray"}}'),
        (frames.JSON, b"\xff\xfe"),
        (frames.TEXT_STEP, b""),
        (frames.BUILT, encode(["World"])),
        (frames.ABOUT, encode({"name": 3})),
        (frames.ABOUT, b"\xc1"),
        (200, b""),
    ]


@pytest.mark.parametrize("frame", hostile(), ids=repr)
def test_what_no_worker_may_send_is_refused(frame: Frame) -> None:
    for read in (frames.reading_reply, frames.reading_plan, frames.reading_about):
        with pytest.raises(RemoteProtocolError):
            read(frame)  # type: ignore[operator]


def test_what_does_not_fit_the_question_is_refused() -> None:
    state = frames.reply_frame(StateIs(state={}))
    for read in (frames.reading_plan, frames.reading_about):
        with pytest.raises(RemoteProtocolError):
            read(state)  # type: ignore[operator]
        assert isinstance(read(frames.reply_frame(ExecutionFailed("why"))), Failed)  # type: ignore[operator]


def assert_same(found: Any, wanted: Any) -> None:
    assert type(found) is type(wanted)
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key in wanted:
            assert_same(found[key], wanted[key])
    elif isinstance(wanted, np.ndarray):
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)
    else:
        assert found == wanted or (found != found and wanted != wanted)
