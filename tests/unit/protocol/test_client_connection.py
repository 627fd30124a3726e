"""The client's end: one open request, ids and acks that rise, replies that answer nothing."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from openenv.errors import LocalProtocolError, RemoteProtocolError
from openenv.protocol import (
    ClientConnection,
    Close,
    EncodingFailed,
    Failed,
    GetState,
    Hello,
    Limits,
    Mcp,
    Observed,
    Open,
    Opened,
    Reply,
    Request,
    Reset,
    StateIs,
    Step,
)
from openenv.protocol.v2 import V2ServerCodec

V2 = "openenv.v2.json"
ACTION = msgspec.Raw(b'{"x":1}')
HELLO = Hello(
    protocol="openenv.v2",
    library="1.0.0",
    environment="echo",
    environment_version=None,
    features=[],
    limits=Limits(max_message_bytes=1000, capacity=1),
)


def frame_of(reply: Reply) -> str:
    return V2ServerCodec().encode(reply)


def sent(connection: ClientConnection, request: Request) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(connection.send(request))
    return frame


def opened() -> ClientConnection:
    connection = ClientConnection(V2)
    connection.receive(frame_of(HELLO))
    connection.send(Open(nonce="n1"))
    connection.receive(frame_of(Opened(session="s1", nonce="n1", token="t1")))
    return connection


def state(id_: int, session: str = "s1") -> str:
    return frame_of(StateIs(state={"n": id_}, session=session, id=id_))


def test_the_greeting_is_kept() -> None:
    connection = ClientConnection(V2)
    assert connection.hello is None
    assert connection.receive(frame_of(HELLO)) == HELLO
    assert connection.hello == HELLO


def test_ids_and_acks_rise() -> None:
    connection = opened()
    frames = []
    for id_ in (1, 2, 3):
        frames.append(sent(connection, GetState()))
        assert connection.receive(state(id_)) is not None
    assert [(f["session"], f["id"], f.get("ack", 0)) for f in frames] == [("s1", 1, 0), ("s1", 2, 1), ("s1", 3, 2)]


def test_a_request_that_was_given_up_is_not_acknowledged_and_its_late_reply_dropped() -> None:
    connection = opened()
    connection.send(GetState())
    connection.withdraw()
    assert connection.receive(state(1)) is None, "nothing is open"
    assert sent(connection, GetState())["id"] == 2
    assert connection.receive(state(1)) is None, "another one is open"
    reply = connection.receive(state(2))
    assert isinstance(reply, StateIs)
    assert reply.state == {"n": 2}
    assert sent(connection, Close())["ack"] == 2


def test_one_request_at_a_time() -> None:
    for connection in (opened(), ClientConnection(None)):
        connection.send(GetState())
        with pytest.raises(LocalProtocolError, match="a request of this session is unanswered"):
            connection.send(GetState())
        connection.withdraw()
        connection.send(GetState())


def test_a_request_that_could_not_be_written_takes_no_id() -> None:
    connection = opened()
    with pytest.raises(EncodingFailed):
        connection.send(Reset(options={"x": object()}))
    assert sent(connection, GetState())["id"] == 1


def test_an_error_answers_like_a_reply() -> None:
    connection = opened()
    connection.send(Step(action=ACTION))
    reply = connection.receive(frame_of(Failed(code="EPISODE_DONE", message="over", session="s1", id=1)))
    assert isinstance(reply, Failed)
    assert sent(connection, GetState())["ack"] == 1


def test_a_refused_open_is_answered() -> None:
    connection = ClientConnection(V2)
    connection.send(Open(nonce="n1"))
    reply = connection.receive(frame_of(Failed(code="CAPACITY_REACHED", message="full")))
    assert isinstance(reply, Failed)
    assert sent(connection, Open(nonce="n2"))["nonce"] == "n2"


def test_v2_step_carries_its_arguments() -> None:
    frame = sent(opened(), Step(action=ACTION, timeout_s=2.5, options={"fast": True}))
    assert (frame["action"], frame["timeout_s"], frame["options"]) == ({"x": 1}, 2.5, {"fast": True})


def test_v1_step_has_no_place_for_arguments() -> None:
    connection = ClientConnection(None)
    with pytest.raises(LocalProtocolError, match="takes no arguments beside the action: fast, slow"):
        connection.send(Step(action=ACTION, options={"slow": 1, "fast": 1}))
    assert sent(connection, Step(action=ACTION, timeout_s=2.5)) == {"type": "step", "data": {"x": 1}}


def test_v1_carries_no_ids() -> None:
    connection = ClientConnection(None)
    for _ in range(2):
        assert sent(connection, Reset(seed=1, options={"a": None})) == {"type": "reset", "data": {"seed": 1, "a": None}}
        reply = connection.receive('{"type":"observation","data":{"observation":{},"reward":1}}')
        assert reply == Observed(observation={}, reward=1)


@pytest.mark.parametrize("request_", [Open(nonce="n"), Mcp(payload=ACTION)])
def test_v1_client_has_no_such_message(request_: Request) -> None:
    connection = ClientConnection(None)
    with pytest.raises(LocalProtocolError, match="protocol v1 has no"):
        connection.send(request_)
    assert sent(connection, GetState()) == {"type": "state"}


def test_v1_server_that_is_full_says_so_unasked() -> None:
    reply = ClientConnection(None).receive('{"type":"error","data":{"message":"full","code":"CAPACITY_REACHED"}}')
    assert isinstance(reply, Failed)
    assert reply.code == "CAPACITY_REACHED"


def test_v1_answer_to_nothing_is_refused() -> None:
    connection = ClientConnection(None)
    with pytest.raises(RemoteProtocolError, match="without being asked"):
        connection.receive('{"type":"state","data":{}}')


@pytest.mark.parametrize("subprotocol", [None, V2])
def test_a_frame_that_cannot_be_read(subprotocol: str | None) -> None:
    with pytest.raises(RemoteProtocolError, match="cannot read"):
        ClientConnection(subprotocol).receive("nope")


def test_an_error_without_an_id_answers_the_open_request() -> None:
    connection = opened()
    connection.send(GetState())
    reply = connection.receive(frame_of(Failed(code="MESSAGE_TOO_LARGE", message="too large")))
    assert isinstance(reply, Failed)
    connection.send(GetState())  # the turn is free again


def test_a_late_answer_to_another_open_answers_nothing() -> None:
    connection = opened()
    connection.send(GetState())
    assert connection.receive(frame_of(Opened(session="s2", nonce="n2", token="t2"))) is None
    assert connection.receive(state(1)) is not None
