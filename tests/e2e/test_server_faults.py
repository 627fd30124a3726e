"""Bad input against a real server, over every way in: a clear error, and the session goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.server.serving import LINES, HttpLine, V1Line, V2Line
from tests.unit.server.stage import LIMIT, OpenStage, check_serves, stages

pytestmark = pytest.mark.e2e


@pytest.fixture(params=LINES)
def stage(request: pytest.FixtureRequest) -> Iterator[OpenStage]:
    """Serves a class, to be talked to over every way in."""
    with stages(request.param) as opened:
        yield opened


@pytest.mark.parametrize("text", ["", "{", "hello", '{"type":"step"', "\x00", '{"a":"\\'])
def test_not_json(stage: OpenStage, text: str) -> None:
    line = stage().line()
    line.reset()
    if text or not isinstance(line, HttpLine):  # an empty body is an empty object
        assert line.say(text).code == "INVALID_JSON"
    check_serves(line)


@pytest.mark.parametrize("text", ["[]", "3", '"step"', "null", "[{}]"])
def test_json_that_is_no_object(stage: OpenStage, text: str) -> None:
    opened = stage()
    line = opened.line()
    answer = line.say(text)
    if opened.way == "v2" and text.startswith("["):  # an array of requests, each an object
        assert answer.code in ("INVALID_REQUEST", "INVALID_JSON")
        assert ("1 to 4096 requests" if text == "[]" else "'type'") in answer.message
    else:
        assert answer.code == "INVALID_JSON"
        assert "object" in answer.message
    check_serves(line)


@pytest.mark.parametrize("text", [b"\xff\xfe{}", b'{"type":"\xc3\x28"}'])
def test_bytes_that_are_no_text(stage: OpenStage, text: bytes) -> None:
    line = stage().line()
    code = line.say(text).code
    if isinstance(line, HttpLine) and text.startswith(b"{"):  # the odd text is in a field that nobody reads
        assert code == "INVALID_REQUEST"
        assert line.say(b'{"action":{},"bonus":"\xc3\x28"}').code == "INVALID_JSON"
    else:
        assert code == "INVALID_JSON"
    check_serves(line)


@pytest.mark.parametrize("frame", [{"type": "dance"}, {"type": "hello"}, {"type": "step2", "data": {}}])
def test_unknown_type(stage: OpenStage, frame: dict[str, Any]) -> None:
    line = stage().line()
    if not isinstance(line, HttpLine):  # HTTP has paths instead
        answer = line.say(json.dumps(frame))
        assert answer.code == "UNKNOWN_TYPE"
        assert repr(frame["type"]) in answer.message
    check_serves(line)


def test_a_frame_without_a_type(stage: OpenStage) -> None:
    line = stage().line()
    answer = line.say("{}")
    assert answer.code == {V1Line: "UNKNOWN_TYPE", V2Line: "INVALID_REQUEST", HttpLine: "INVALID_REQUEST"}[type(line)]
    assert ("action" if isinstance(line, HttpLine) else "type") in answer.message
    check_serves(line)


def test_unknown_keys_on_a_frame_are_tolerated(stage: OpenStage) -> None:
    line = stage().line()
    line.reset()
    if isinstance(line, V1Line):
        answer = line.say('{"type":"step","data":{"how":"ok"},"trace":"x","request_id":"r-1"}')
    elif isinstance(line, V2Line):
        answer = line.say(line.frame("step", action={"how": "ok"}, trace="x"))
    else:
        answer = line.read(line.client.post("/step", json={"action": {}, "request_id": "r-1"}))
    assert answer.value == 1
    check_serves(line)


def test_a_field_of_the_wrong_type(stage: OpenStage) -> None:
    line = stage().line()
    for seed in (-1, "many", 1.5):
        answer = line.reset(seed=seed)
        assert answer.code in ("INVALID_REQUEST", "VALIDATION_ERROR")
        assert "seed" in answer.message
    check_serves(line)


@pytest.mark.parametrize(
    ("action", "loc", "says"),
    [
        ({"n": "many"}, ["n"], "integer"),
        ({"colour": 1}, ["colour"], "Extra inputs"),
        ({"n": 101}, ["n"], "n is at most 100"),
        ({"n": 66}, [], "66 needs another how"),
        ({"n": 77}, [], "validators may raise anything"),
    ],
)
def test_an_invalid_action(stage: OpenStage, action: dict[str, Any], loc: list[str], says: str) -> None:
    made = stage()
    line = made.line()
    line.reset()
    answer = line.step(**action)
    assert answer.code == "VALIDATION_ERROR"
    assert says in answer.message
    if not isinstance(line, V1Line):
        assert answer.body["errors"][0]["loc"] == loc
    else:
        assert answer.body["loc"] == loc
    assert made.ledger.count("step") == 0
    assert line.step().value == 1
    line.close()


def test_step_before_reset_and_after_done(stage: OpenStage) -> None:
    made = stage()
    line = made.line()
    assert line.step().code == "RESET_NEEDED"
    assert line.state().code is None
    line.reset()
    assert line.step(how="done").body["done"] is True
    assert line.step().code == "EPISODE_DONE"
    assert made.ledger.count("step") == 1
    check_serves(line)


def test_a_message_over_the_limit(stage: OpenStage) -> None:
    line = stage().line()
    line.reset()
    assert line.step(how="x" * LIMIT).code == "MESSAGE_TOO_LARGE"
    assert line.say(json.dumps({"text": "\u00e9" * (LIMIT // 2 + 10)}, ensure_ascii=False)).code == "MESSAGE_TOO_LARGE"
    assert line.step().value == 1
    line.close()
