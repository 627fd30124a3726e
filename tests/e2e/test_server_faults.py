"""Bad input and failing environments against a real server, over every way in; nothing may be left behind."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.unit.server.serving import LINES, HttpLine, Line, Running, V1Line, V2Line, serving
from tests.unit.session.worlds import AsyncWorld, Ledger, Move, Seen, World, threads_left, world

from openenv.app import create_app

pytestmark = pytest.mark.e2e

STEPS_TO_TRUST = 210
LIMIT = 4096


class Stage:
    """A server of a class of its own, and a line to it whose environment lives where the test wants it."""

    def __init__(self, server: Running, cls: type[World], way: str) -> None:
        self.server, self.ledger, self.way = server, cls.ledger, way
        self.lines: list[Any] = []

    def line(self) -> Any:
        self.lines.append(LINES[self.way](self.server))
        return self.lines[-1]

    def trusted_line(self) -> Any:
        """A line to an environment in the server's own thread; over v1 a class is proven fastest."""
        for _ in range(20):
            line = self.line()
            line.reset()
            if self.ledger.threads(self.ledger.count("made")) == {self.server.thread.ident}:
                return line
            line.close()
            proof = V1Line(self.server)
            proof.reset()
            for _ in range(STEPS_TO_TRUST):
                proof.step()
            proof.close()
            self.server.wait_idle()
        raise AssertionError("a fast class was never trusted")


OpenStage = Callable[..., Stage]


@pytest.fixture(params=LINES)
def stage(request: pytest.FixtureRequest) -> Iterator[OpenStage]:
    """Serves a class; afterwards the server still serves, and no place, thread or environment is left over."""
    opened: list[tuple[Stage, Any]] = []

    def open_stage(base: type[World] = World, loop: str = "asyncio", **attributes: Any) -> Stage:
        cls = world(base, **attributes)
        context = serving(create_app(cls, Move, Seen, "world", 4, max_message_bytes=LIMIT), loop)
        made = Stage(context.__enter__(), cls, request.param)
        opened.append((made, context))
        return made

    yield open_stage
    for made, context in opened:
        made.ledger.gate.set()
        try:
            for line in made.lines:
                line.close()
            made.server.wait_idle()
            assert not threads_left()
        finally:
            context.__exit__(None, None, None)
        made.ledger.check_closed_once()


def check_serves(line: Line) -> None:
    """The session goes on, with an episode of its own."""
    line.reset()
    assert line.step().value == 1
    line.close()


# What a client may send --------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "{", "hello", '{"type":"step"', "\x00", '{"a":"\\'])
def test_not_json(stage: OpenStage, text: str) -> None:
    line = stage().line()
    line.reset()
    if text or not isinstance(line, HttpLine):  # an empty body is an empty object
        assert line.say(text).code == "INVALID_JSON"
    check_serves(line)


@pytest.mark.parametrize("text", ["[]", "3", '"step"', "null", "[{}]"])
def test_json_that_is_no_object(stage: OpenStage, text: str) -> None:
    line = stage().line()
    answer = line.say(text)
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


# What an environment may do ----------------------------------------------------------------------

FAULTS = [
    ("raise", "EXECUTION_ERROR", "RuntimeError: boom"),
    ("exit", "EXECUTION_ERROR", "SystemExit: 3"),
    ("interrupt", "EXECUTION_ERROR", "KeyboardInterrupt"),
    ("cancelled", "EXECUTION_ERROR", "CancelledError"),
    ("none", "OBSERVATION_INVALID", "returned None"),
    ("wrong", "OBSERVATION_INVALID", "returned a dict"),
    ("object", "OBSERVATION_INVALID", "object"),
    ("nan", "REWARD_INVALID", "nan"),
]


@pytest.mark.parametrize("base", [World, AsyncWorld])
@pytest.mark.parametrize("trusted", [False, True])
def test_an_environment_that_fails(stage: OpenStage, base: type[World], trusted: bool) -> None:
    made = stage(base)
    line = made.trusted_line() if trusted else made.line()
    for how, code, says in FAULTS:
        answer = line.reset(how=how)
        assert (answer.code, says in answer.message) == (code, True), answer
        line.reset()
        answer = line.step(how=how)
        assert (answer.code, says in answer.message) == (code, True), answer
        assert line.state().code is None
        assert line.step().value == 2
    line.close()


def test_what_could_be_sent_of_an_observation_is_sent(stage: OpenStage) -> None:
    line = stage().line()
    line.reset()
    sent = line.step(how="object").body
    assert (sent["reward"], sent["done"]) == (2.5, False)
    assert sent["observation"]["value"][0] == 1
    sent = line.step(how="nan_done").body
    assert (sent["observation"], sent["done"]) == ({"value": 2}, True)
    assert line.step().code == "EPISODE_DONE"
    line.close()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("trusted", [False, True])
def test_asyncio_run_in_a_synchronous_environment(stage: OpenStage, loop: str, trusted: bool) -> None:
    made = stage(loop=loop)
    line = made.trusted_line() if trusted else made.line()
    line.reset()
    for _ in range(3):
        assert line.step(how="run").value == 42
    assert line.reset(how="run").value == 42
    line.close()


@pytest.mark.parametrize("how", ["raise", "exit", "interrupt"])
@pytest.mark.parametrize("base", [World, AsyncWorld])
def test_an_environment_that_cannot_be_closed(stage: OpenStage, base: type[World], how: str) -> None:
    made = stage(base, on_close=how)
    for _ in range(6):  # more than there are places
        line = made.line()
        line.reset()
        line.close()
        made.server.wait_idle()


@pytest.mark.parametrize("how", ["raise", "exit", "interrupt"])
def test_an_environment_that_cannot_be_built(how: str) -> None:
    cls = world(on_make=how)
    with serving(create_app(cls, Move, Seen, "world", 1)) as server:
        for _ in range(3):
            with server.connect() as v1:
                assert json.loads(v1.recv())["data"]["code"] == "FACTORY_ERROR"
            with server.connect("openenv.v2.json") as v2:
                v2.recv()
                v2.send('{"type":"open","nonce":"n"}')
                assert json.loads(v2.recv())["code"] == "FACTORY_ERROR"
        assert server.active() == 0
        assert not threads_left()
        cls.on_make = "ok"
        check_serves(V1Line(server))
        server.wait_idle()
    cls.ledger.check_closed_once()


def test_a_client_that_vanishes_in_a_step(stage: OpenStage) -> None:
    made = stage()
    line = made.line()
    line.reset()
    line.start_step(how="wait")
    made.ledger.wait("waiting")
    line.vanish()
    assert made.server.active() == 1
    assert made.ledger.count("close") == 0
    made.ledger.gate.set()
    if isinstance(line, HttpLine):  # a private session outlives its client, until its lease is over
        assert line.step().value == 2
        line.close()
    made.ledger.wait("close")
    made.server.wait_idle()
    assert [what for what, _, _ in made.ledger.entries][-1] == "close"


def test_a_client_that_vanishes_between_steps(stage: OpenStage) -> None:
    made = stage()
    line = made.line()
    line.reset()
    line.vanish()
    if isinstance(line, HttpLine):
        line.close()
    made.ledger.wait("close")
    made.server.wait_idle()


def test_one_session_over_capacity(stage: OpenStage) -> None:
    made = stage(SUPPORTS_CONCURRENT_SESSIONS=True)
    lines = [made.line() for _ in range(4)]
    with made.server.connect() as v1:
        data = json.loads(v1.recv())["data"]
        assert (data["code"], data["active_sessions"], data["max_sessions"]) == ("CAPACITY_REACHED", 4, 4)
    with made.server.connect("openenv.v2.json") as v2:
        v2.recv()
        for nonce in "ab":
            v2.send(json.dumps({"type": "open", "nonce": nonce}))
            frame = json.loads(v2.recv())
            assert (frame["code"], frame["retryable"]) == ("CAPACITY_REACHED", True)
    refused = httpx.post(f"{made.server.url}/sessions")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "CAPACITY_REACHED")
    for line in lines:
        check_serves(line)
    made.server.wait_idle()
    check_serves(made.line())


def test_the_place_is_free_when_the_server_says_goodbye() -> None:
    cls = world(SUPPORTS_CONCURRENT_SESSIONS=False)
    with serving(create_app(cls, Move, Seen)) as server:
        for turn in range(1, 20):
            with server.connect() as v1:
                v1.send('{"type":"reset"}')
                assert json.loads(v1.recv())["type"] == "observation", turn
                v1.send('{"type":"close"}')
                for _ in v1:
                    raise AssertionError("nothing comes after a close")
            assert cls.ledger.count("close") == turn
    cls.ledger.check_closed_once()


def test_the_end_of_the_server_ends_every_session() -> None:
    cls = world()
    ledger: Ledger = cls.ledger
    with serving(create_app(cls, Move, Seen)) as server:
        v1, v2, http = (LINES[way](server) for way in LINES)
        for line in (v1, v2, http):
            line.reset()
        threading.Timer(0, ledger.gate.set).start()
    assert ledger.count("made") == 3
    ledger.check_closed_once()
    assert not threads_left()
    for line in (v1, v2):
        line.close()
    http.client.close()
