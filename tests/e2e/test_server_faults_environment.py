"""Failing environments and vanishing clients against a real server: nothing may be left behind."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import httpx
import pytest
from tests.unit.server.serving import LINES, V1Line, V2Line, serving
from tests.unit.server.stage import OpenStage, check_serves, stages
from tests.unit.session.worlds import AsyncWorld, Ledger, Move, Seen, World, threads_left, world

from openenv.app import create_app

pytestmark = pytest.mark.e2e


@pytest.fixture(params=LINES)
def stage(request: pytest.FixtureRequest) -> Iterator[OpenStage]:
    """Serves a class, to be talked to over every way in."""
    with stages(request.param) as opened:
        yield opened


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
    if not isinstance(line, V1Line):  # a session outlives its client, until its lease is over
        if isinstance(line, V2Line):
            line.come_back()
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
    if not isinstance(line, V1Line):
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
