"""Clients against servers that are not ours: protocol v1, broken ones, and no OpenEnv at all."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from tests.unit.client.raw_servers import raw_server, v2_server
from tests.unit.client.servers import KINDS, WAIT_S, PlayAction, PlayObservation, playing
from websockets.sync.server import ServerConnection

from openenv import GenericEnvClient
from openenv.errors import (
    ERRORS,
    ActionInvalid,
    CapacityReached,
    ConnectFailed,
    EpisodeLost,
    LocalProtocolError,
    MessageTooLarge,
    RemoteProtocolError,
)

pytestmark = pytest.mark.e2e

FULL = '{"type":"error","data":{"message":"full","code":"CAPACITY_REACHED","active_sessions":1,"max_sessions":1}}'


class V1:
    """A server as they were up to 0.10: what it was sent is kept in ``frames``."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.gate = threading.Event()
        self.ended = threading.Event()
        self.connections = 0

    def __call__(self, connection: ServerConnection) -> None:
        self.connections += 1
        try:
            self._talk(connection)
        finally:
            self.ended.set()

    def _talk(self, connection: ServerConnection) -> None:
        steps = 0
        for text in connection:
            frame = json.loads(text)
            self.frames.append(frame)
            match frame["type"]:
                case "reset":
                    connection.send(
                        '{"type":"observation","data":{"observation":{"metadata":{"a":1},"text":"begun"},'
                        '"reward":null,"done":false,"metadata":{"a":1}}}'
                    )
                case "step" if frame["data"].get("do") == "wait":
                    self.gate.wait(WAIT_S)
                    connection.send('{"type":"observation","data":{"observation":{"text":"late"},"done":false}}')
                case "step" if "bad" in frame["data"]:
                    connection.send(
                        '{"type":"error","data":{"message":"Invalid message","code":"VALIDATION_ERROR",'
                        '"errors":[{"type":"missing","loc":["text"],"msg":"Field required","input":{}}]}}'
                    )
                case "step":
                    steps += 1
                    told = {"observation": {"metadata": {}, "text": f"step {steps}"}, "reward": 1.5, "done": steps == 2}
                    connection.send(json.dumps({"type": "observation", "data": told}))
                case "state":
                    connection.send('{"type":"state","data":{"episode_id":"e","step_count":' + str(steps) + "}}")
                case "close":
                    return


@pytest.mark.parametrize("kind", KINDS)
def test_an_episode_on_a_v1_server(kind: str) -> None:
    old = V1()
    with raw_server(old) as url, playing(kind, url) as env:
        begun = env.reset(seed=3, level=2)
        assert (begun.observation.text, begun.metadata) == ("begun", {"a": 1})
        assert isinstance(begun.observation, PlayObservation)
        env.step(PlayAction(text="hi"), timeout_s=WAIT_S)
        assert env.state().step_count == 1
        with pytest.raises(ActionInvalid) as caught:
            env.step({"bad": 1})
        assert caught.value.details["errors"][0]["loc"] == ["text"]
        ended = env.step(PlayAction())
        assert (ended.reward, ended.done, ended.terminated) == (1.5, True, True)
        env.close()
        assert old.ended.wait(WAIT_S)
        assert [frame["type"] for frame in old.frames] == ["reset", "step", "state", "step", "step", "close"]
        assert old.frames[0]["data"] == {"seed": 3, "level": 2}
        assert old.frames[1]["data"]["text"] == "hi"
        assert "timeout_s" not in old.frames[1]["data"]


@pytest.mark.parametrize("kind", KINDS)
def test_v1_has_no_place_for_step_options(kind: str) -> None:
    old = V1()
    with raw_server(old) as url, playing(kind, url) as env:
        env.reset()
        with pytest.raises(LocalProtocolError, match=r"protocol v1.*louder"):
            env.step(PlayAction(), louder=True)
        assert env.step(PlayAction()).observation.text == "step 1"
        assert len(old.frames) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_client_keeps_the_time_for_a_v1_server(kind: str) -> None:
    old = V1()
    with raw_server(old) as url, playing(kind, url, GenericEnvClient) as env:
        env.reset()
        with pytest.raises(EpisodeLost) as caught:
            env.step({"do": "wait"}, timeout_s=0.05)
        assert caught.value.details == {"reason": "timeout"}
        old.gate.set()
        with pytest.raises(EpisodeLost):
            env.step({})
        env.reset()
        assert env.step({}).observation["text"] == "step 1"
        assert old.connections == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_v1_server_says_so_at_once_and_leaves(kind: str) -> None:
    connections = []
    free = V1()

    def handler(connection: ServerConnection) -> None:
        connections.append(connection)
        if len(connections) > 3:
            free(connection)
        else:
            connection.send(FULL)  # and it closes, as returning does

    with raw_server(handler) as url, playing(kind, url) as env:
        env.connect()
        for _ in range(2):
            with pytest.raises(CapacityReached) as caught:
                env.reset()
            assert caught.value.details == {"active_sessions": 1, "max_sessions": 1}
        while len(connections) < 3:  # connect() may have been turned away too
            connections.append(None)
        assert env.reset().observation.text == "begun"


def answering(frame: dict[str, Any] | str) -> Callable[[ServerConnection, dict[str, Any]], None]:
    """A server's one answer to everything but the first reset."""

    def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        ids = {"session": request["session"], "id": request["id"]}
        if request["type"] == "reset":
            connection.send(json.dumps({"type": "observation", "observation": {}, **ids}))
        elif isinstance(frame, str):
            connection.send(frame)
        else:
            connection.send(json.dumps({**ids, **frame}))

    return answer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", sorted(ERRORS))
def test_the_client_raises_what_the_server_raised(code: str, kind: str) -> None:
    error = {"type": "error", "code": code, "message": "said so", "details": {"reason": "fact"}}
    with v2_server(answering(error)) as url, playing(kind, url) as env:
        env.reset()
        with pytest.raises(ERRORS[code]) as caught:
            env.step(PlayAction())
        assert type(caught.value) is ERRORS[code]
        assert (caught.value.message, caught.value.details) == ("said so", {"reason": "fact"})
        if code == "EPISODE_LOST":  # and it stays lost
            with pytest.raises(EpisodeLost) as again:
                env.state()
            assert again.value.details == {"reason": "fact"}
            assert "ended in an earlier call" in again.value.message
        assert env.reset().done is False


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frame", ["no json", "[]", '{"type":"surprise"}', '{"type":"observation"}'])
def test_an_answer_that_cannot_be_read(frame: str, kind: str) -> None:
    with v2_server(answering(frame)) as url, playing(kind, url) as env:
        env.reset()
        with pytest.raises(RemoteProtocolError):
            env.step(PlayAction())
        with pytest.raises(EpisodeLost) as caught:
            env.step(PlayAction())
        assert caught.value.details == {"reason": "protocol_error"}
        assert env.reset().done is False


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "frame",
    [{"type": "state", "state": 1}, {"type": "observation", "observation": [1]},
     {"type": "observation", "observation": {"colour": "green"}}],
)  # fmt: skip
def test_an_answer_that_means_something_else(frame: dict[str, Any], kind: str) -> None:
    with v2_server(answering(frame)) as url, playing(kind, url) as env:
        env.reset()
        with pytest.raises(RemoteProtocolError):
            env.step(PlayAction())


@pytest.mark.parametrize("kind", KINDS)
def test_a_late_reply_is_not_taken_for_another(kind: str) -> None:
    def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        for late in (request["id"] - 1, request["id"] + 1, request["id"]):
            reply = {"type": "observation", "session": "s", "id": late, "observation": {"text": str(late)}}
            connection.send(json.dumps(reply))

    with v2_server(answer) as url, playing(kind, url) as env:
        assert [env.reset().observation.text for _ in range(3)] == ["1", "2", "3"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("code", "reason"),
    [(1012, "server_stopped"), (1001, "server_stopped"), (1009, "message_too_large"), (1011, "connection_lost")],
)
def test_what_close_codes_mean(code: int, reason: str, kind: str) -> None:
    def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        if request["type"] == "step" or request.get("options"):
            connection.close(code, "bye")
        else:
            answering({})(connection, request)

    with v2_server(answer) as url, playing(kind, url) as env:
        env.reset()
        with pytest.raises(EpisodeLost) as caught:
            env.step(PlayAction())
        assert caught.value.details == {"reason": reason}
        if code == 1009:
            with pytest.raises(MessageTooLarge):
                env.reset(level="x" * 100)


# No OpenEnv at all -------------------------------------------------------------------------------


class NoSuchPage(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("kind", KINDS)
def test_an_http_server_that_is_no_openenv(kind: str) -> None:
    with HTTPServer(("127.0.0.1", 0), NoSuchPage) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with (
                playing(kind, f"http://127.0.0.1:{server.server_port}/env") as env,
                pytest.raises(ConnectFailed, match=r"HTTP 404 at the path /env/ws; is it an OpenEnv server"),
            ):
                env.reset()
        finally:
            server.shutdown()
            thread.join(WAIT_S)


@pytest.mark.parametrize("kind", KINDS)
def test_something_that_speaks_no_http(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"220 mail ready\r\n\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with playing(kind, url) as env, pytest.raises(ConnectFailed, match="what answers there is no OpenEnv server"):
            env.reset()
        thread.join(WAIT_S)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_listens(kind: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, so nobody else gets the port; not listening
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with playing(kind, url) as env, pytest.raises(ConnectFailed, match="nothing listens there"):
            env.connect()


@pytest.mark.parametrize("kind", KINDS)
def test_a_host_name_that_cannot_be(kind: str) -> None:
    with playing(kind, f"http://{'a' * 70}.localhost:1") as env, pytest.raises(ConnectFailed):
        env.connect()


@pytest.mark.parametrize("kind", KINDS)
def test_no_proxy_stands_between_us_and_this_machine(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with raw_server(V1()) as url, playing(kind, url) as env:
        assert env.reset().observation.text == "begun"
