"""The client's end: one open request, ids and acks that rise, replies that answer nothing."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from openenv.errors import LocalProtocolError, RemoteProtocolError
from openenv.protocol import (
    ClientConnection,
    ClientSession,
    Close,
    Closed,
    EncodingFailed,
    Ended,
    Failed,
    GetState,
    Hello,
    Limits,
    Mcp,
    Observed,
    Open,
    Opened,
    Queued,
    Reply,
    Request,
    Reset,
    Resume,
    Resumed,
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
    features=["resume"],
    limits=Limits(max_message_bytes=1000, capacity=1),
)


def frame_of(reply: Reply) -> str:
    return V2ServerCodec().encode(reply)


class Talk:
    """A connection and the one session it is asked for."""

    def __init__(self, connection: ClientConnection, session: ClientSession | None = None) -> None:
        self.connection, self.session = connection, session
        self.receive = connection.receive

    def send(self, request: Request) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(self.connection.send(request, self.session))
        return frame

    def withdraw(self) -> None:
        (self.session or self.connection.only).withdraw()


def opened(connection: ClientConnection | None = None, number: int = 1) -> Talk:
    connection, session = connection or ClientConnection(V2), ClientSession(f"n{number}")
    connection.receive(frame_of(HELLO))
    connection.send(session.introduction(), session)
    answer = Opened(session=f"s{number}", nonce=f"n{number}", token=f"t{number}")
    assert isinstance(connection.receive(frame_of(answer)), Opened)
    return Talk(connection, session)


def state(id_: int, session: str = "s1") -> str:
    return frame_of(StateIs(state={"n": id_}, session=session, id=id_))


def test_the_greeting_is_kept() -> None:
    connection = ClientConnection(V2)
    assert connection.hello is None
    assert not connection.has("resume")
    assert connection.receive(frame_of(HELLO)) == HELLO
    assert connection.hello == HELLO
    assert connection.has("resume")
    assert not connection.has("queue")


def test_ids_and_acks_rise() -> None:
    talk = opened()
    frames = []
    for id_ in (1, 2, 3):
        frames.append(talk.send(GetState()))
        assert talk.receive(state(id_)) is not None
    assert [(f["session"], f["id"], f.get("ack", 0)) for f in frames] == [("s1", 1, 0), ("s1", 2, 1), ("s1", 3, 2)]


def test_a_request_that_was_given_up_is_not_acknowledged_and_its_late_reply_dropped() -> None:
    talk = opened()
    talk.send(GetState())
    talk.withdraw()
    assert talk.receive(state(1)) is None, "nothing is open"
    assert talk.send(GetState())["id"] == 2
    assert talk.receive(state(1)) is None, "another one is open"
    reply = talk.receive(state(2))
    assert isinstance(reply, StateIs)
    assert reply.state == {"n": 2}
    assert talk.send(Close())["ack"] == 2


def test_one_request_at_a_time() -> None:
    for talk in (opened(), Talk(ClientConnection(None))):
        talk.send(GetState())
        with pytest.raises(LocalProtocolError, match="a request of this session is unanswered"):
            talk.send(GetState())
        talk.withdraw()
        talk.send(GetState())


def test_a_request_that_could_not_be_written_takes_no_id() -> None:
    talk = opened()
    with pytest.raises((LocalProtocolError, EncodingFailed), match="object"):
        talk.send(Reset(options={"x": object()}))
    assert talk.send(GetState())["id"] == 1


def test_an_error_answers_like_a_reply() -> None:
    talk = opened()
    talk.send(Step(action=ACTION))
    reply = talk.receive(frame_of(Failed(code="EPISODE_DONE", message="over", session="s1", id=1)))
    assert isinstance(reply, Failed)
    assert talk.send(GetState())["ack"] == 1


@pytest.mark.parametrize("details", [{}, {"nonce": "n1"}])
def test_a_refused_open_is_answered(details: dict[str, Any]) -> None:
    talk = Talk(ClientConnection(V2), ClientSession("n1"))
    talk.send(Open(nonce="n1"))
    reply = talk.receive(frame_of(Failed(code="CAPACITY_REACHED", message="full", details=details)))
    assert isinstance(reply, Failed)
    assert not talk.session.is_open if talk.session else False
    assert talk.send(Open(nonce="n1"))["nonce"] == "n1"


def test_a_place_in_the_queue_is_news_while_it_opens() -> None:
    talk = Talk(ClientConnection(V2), ClientSession("n1"))
    talk.send(Open(nonce="n1", queue_timeout_s=3))
    place = Queued(nonce="n1", position=2)
    assert talk.receive(frame_of(place)) == place
    assert talk.receive(frame_of(Queued(nonce="n2", position=1))) is None
    assert isinstance(talk.receive(frame_of(Opened(session="s1", nonce="n1", token="t1"))), Opened)
    assert talk.receive(frame_of(place)) is None


def test_v2_step_carries_its_arguments() -> None:
    frame = opened().send(Step(action=ACTION, timeout_s=2.5, options={"fast": True}))
    assert (frame["action"], frame["timeout_s"], frame["options"]) == ({"x": 1}, 2.5, {"fast": True})


def test_v1_step_has_no_place_for_arguments() -> None:
    talk = Talk(ClientConnection(None))
    with pytest.raises(LocalProtocolError, match="takes no arguments beside the action: fast, slow"):
        talk.send(Step(action=ACTION, options={"slow": 1, "fast": 1}))
    assert talk.send(Step(action=ACTION, timeout_s=2.5)) == {"type": "step", "data": {"x": 1}}


def test_v1_carries_no_ids() -> None:
    talk = Talk(ClientConnection(None))
    for _ in range(2):
        assert talk.send(Reset(seed=1, options={"a": None})) == {"type": "reset", "data": {"seed": 1, "a": None}}
        reply = talk.receive('{"type":"observation","data":{"observation":{},"reward":1}}')
        assert reply == Observed(observation={}, reward=1)


@pytest.mark.parametrize("request_", [Open(nonce="n"), Mcp(payload=ACTION)])
def test_v1_client_has_no_such_message(request_: Request) -> None:
    talk = Talk(ClientConnection(None))
    with pytest.raises(LocalProtocolError, match="protocol v1 has no"):
        talk.send(request_)
    assert talk.send(GetState()) == {"type": "state"}


def test_v1_server_that_is_full_says_so_unasked() -> None:
    reply = ClientConnection(None).receive('{"type":"error","data":{"message":"full","code":"CAPACITY_REACHED"}}')
    assert isinstance(reply, Failed)
    assert reply.code == "CAPACITY_REACHED"


def test_a_v2_server_may_refuse_the_whole_connection() -> None:
    refusal = frame_of(Failed(code="SERVER_DRAINING", message="stopping"))
    assert isinstance(ClientConnection(V2).receive(refusal), Failed)
    talk = opened()
    talk.connection.forget(talk.session or ClientSession())
    talk = opened(talk.connection, 2)
    assert talk.receive(refusal) is None, "here it is about nothing that was asked"


def test_v1_answer_to_nothing_is_refused() -> None:
    connection = ClientConnection(None)
    with pytest.raises(RemoteProtocolError, match="without being asked"):
        connection.receive('{"type":"state","data":{}}')


@pytest.mark.parametrize("subprotocol", [None, V2])
def test_a_frame_that_cannot_be_read(subprotocol: str | None) -> None:
    with pytest.raises(RemoteProtocolError, match="cannot read"):
        ClientConnection(subprotocol).receive("nope")


def test_an_error_without_an_id_answers_the_open_request() -> None:
    talk = opened()
    talk.send(GetState())
    reply = talk.receive(frame_of(Failed(code="MESSAGE_TOO_LARGE", message="too large")))
    assert isinstance(reply, Failed)
    talk.send(GetState())  # the turn is free again


def test_a_late_answer_to_another_open_answers_nothing() -> None:
    talk = opened()
    talk.send(GetState())
    assert talk.receive(frame_of(Opened(session="s2", nonce="n2", token="t2"))) is None
    assert talk.receive(frame_of(Opened(session="s3", nonce="n1", token="t3"))) is None
    assert talk.receive(state(1)) is not None


# Several sessions, several connections -----------------------------------------------------------


def test_replies_find_their_session() -> None:
    first = opened()
    second = opened(first.connection, 2)
    assert (first.send(GetState())["id"], second.send(GetState())["id"]) == (1, 1)
    assert first.receive(state(1, "s3")) is None
    for name, talk in (("s2", second), ("s1", first)):
        reply = talk.receive(state(1, name))
        assert isinstance(reply, StateIs)
        assert reply.session == name
        assert talk.session is not None
        assert talk.session.unanswered is None


def test_a_session_goes_on_over_another_connection() -> None:
    talk = opened()
    session = talk.session
    assert session is not None
    talk.send(GetState())
    talk.receive(state(1))
    asked = talk.send(Step(action=ACTION))
    again = Talk(ClientConnection(V2), session)
    introduction = session.introduction()
    assert isinstance(introduction, Resume)
    assert again.send(introduction) == {"type": "resume", "session": "s1", "token": "t1"}
    late = frame_of(Observed(observation={}, session="s1", id=2))
    assert again.receive(late) is None, "it is asked again when the session is there"
    assert isinstance(again.receive(frame_of(Resumed(session="s1", last_id=2))), Resumed)
    resent = again.connection.send_again(session)
    assert resent is not None
    assert json.loads(resent) == asked
    assert isinstance(again.receive(late), Observed)
    assert again.connection.send_again(session) is None
    assert again.send(Close()) == {"type": "close", "session": "s1", "id": 3, "ack": 2}


def test_an_open_without_its_answer_is_asked_again_with_its_nonce() -> None:
    session = ClientSession("n1")
    asked = [Talk(ClientConnection(V2), session).send(session.introduction()) for _ in range(2)]
    assert [(frame["type"], frame["nonce"]) for frame in asked] == [("open", "n1")] * 2


def test_a_resume_that_is_refused() -> None:
    session = opened().session
    assert session is not None
    again = Talk(ClientConnection(V2), session)
    again.send(session.introduction())
    refusal = Failed(session="s1", code="EPISODE_LOST", message="gone", details={"reason": "lease_expired"})
    assert again.receive(frame_of(refusal)) == refusal


def test_a_farewell_follows_what_is_unanswered_and_is_followed_by_nothing() -> None:
    talk = opened()
    assert talk.session is not None
    talk.send(Step(action=ACTION))
    assert json.loads(talk.connection.send_farewell(talk.session)) == {"type": "close", "session": "s1", "id": 2}
    for late in (Observed(observation={}, session="s1", id=1), Closed(session="s1", id=2)):
        assert talk.receive(frame_of(late)) is None
    assert opened(talk.connection, 2).send(GetState())["session"] == "s2"


def test_a_notice_is_news_at_any_time() -> None:
    talk = opened()
    notice = Ended(session="s1", reason="idle", message="nobody asked")
    assert talk.receive(frame_of(notice)) == notice
    assert talk.receive(frame_of(Ended(session="s2", reason="idle", message="?"))) is None
