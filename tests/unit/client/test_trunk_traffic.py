"""What a connection of many sessions sends, and whom it tells what came."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.client.trunk_stage import Stage, failed, observed, opened

from openenv.client import trunk_traffic
from openenv.client.breaks import Broken
from openenv.errors import (
    ActionInvalid,
    CapacityReached,
    EpisodeLost,
    ExecutionFailed,
    LocalProtocolError,
    RemoteProtocolError,
    SessionClosed,
)
from openenv.protocol import Close, GetState, Reset, Step
from openenv.types import StepResult


def test_what_is_asked_at_once_is_one_frame() -> None:
    stage = Stage("batch", "resume")
    stage.connect()
    for number in range(3):
        stage.ask(number, Reset(seed=number))
    (opens,) = stage.sent()
    assert [one["type"] for one in opens] == ["open"] * 3
    stage.say(opened(opens[1], 1), opened(opens[0], 0))
    (resets,) = stage.sent()
    assert [(one["session"], one["seed"], one["id"]) for one in resets] == [("1", 1, 1), ("0", 0, 1)]
    stage.say(observed(resets[1], reward=2.0), opened(opens[2], 2), failed(resets[0], "EXECUTION_ERROR"))
    assert stage.told[0] == [StepResult(observation={}, reward=2.0)]
    assert isinstance(stage.told[1][0], ExecutionFailed)
    assert stage.told[2] == []
    assert stage.traffic.waiting == 1


def test_a_server_without_batches_gets_single_frames() -> None:
    stage = Stage("resume")
    stage.connect()
    stage.open(2)
    for number in range(2):
        stage.ask(number, GetState())
    assert [[one["type"] for one in frame] for frame in stage.sent()] == [["state"], ["state"]]


def test_after_a_break_what_was_not_answered_is_asked_again_under_its_id() -> None:
    stage = Stage("batch", "resume")
    stage.connect()
    stage.open(3)
    for number in range(2):
        stage.ask(number, Step(action={"go": number}))
    (first,) = stage.sent()
    assert stage.say(observed(first[0]))
    stage.traffic.interrupt()
    stage.ask(2, GetState())  # while there is no connection
    assert stage.sent() == []
    stage.connect()
    (resumes,) = stage.sent()
    assert {(one["type"], one["session"], one["token"]) for one in resumes} == {
        ("resume", str(number), f"t{number}") for number in range(3)
    }
    stage.say(*({"type": "resumed", "session": one["session"], "last_id": 1} for one in resumes))
    (again,) = stage.sent()
    assert first[1] in again
    assert [one["type"] for one in again if one not in first] == ["state"]
    stage.say(observed(first[1]))
    stage.say(observed(first[1]))  # of the first run, late
    assert [len(stage.told[number]) for number in range(3)] == [1, 1, 0]


def test_one_answer_that_ended_the_connection_is_found_among_many() -> None:
    stage = Stage("batch", "resume")
    stage.connect()
    stage.open(3)
    for number in range(3):
        stage.ask(number, GetState())
    stage.sent()
    asked_alone = []
    for _ in range(4):
        stage.traffic.interrupt()
        guilty = stage.traffic.suspect()
        if guilty:
            break
        stage.connect()
        (resumes,) = stage.sent()
        stage.say(*({"type": "resumed", "session": one["session"], "last_id": 1} for one in resumes))
        while True:
            ((request,),) = stage.sent()
            asked_alone.append(request["session"])
            if request["session"] == "1":
                break  # its answer would end the connection again
            stage.say({"type": "state", "session": request["session"], "id": 1, "state": {"number": 1}})
    assert guilty == [stage.sessions[1]]
    assert len(asked_alone) == len(set(asked_alone))


def test_a_request_that_cannot_be_sent_fails_alone() -> None:
    stage = Stage("batch", "resume", limit=600)
    stage.connect()
    stage.open(4)
    stage.ask(0, Step(action=object()))
    stage.ask(1, Step(action={"text": "x" * 700}))
    stage.ask(2, Step(action={"text": "y" * 300}))
    stage.ask(3, Step(action={"text": "z" * 300}))
    frames = stage.sent()
    assert [[one["session"] for one in frame] for frame in frames] == [["2"], ["3"]], "together they are too large"
    assert isinstance(stage.told[0][0], ActionInvalid)
    assert isinstance(stage.told[1][0], LocalProtocolError)
    assert "700" not in stage.told[1][0].message
    assert "takes 600" in stage.told[1][0].message
    stage.ask(1, Step(action={"text": "short"}))
    assert len(stage.sent()) == 1


def test_an_answer_that_cannot_be_read_fails_alone() -> None:
    stage = Stage("batch", "resume")
    stage.connect()
    stage.open(2)
    for number in range(2):
        stage.ask(number, GetState())
    stage.say(*({"type": "state", "session": str(n), "id": 1, "state": {"number": n}} for n in range(2)))
    assert stage.told[1] == []
    stage.sent()
    stage.say(*({"type": "state", "session": str(n), "id": 1, "state": {"number": n}} for n in range(2)))
    assert isinstance(stage.told[0][0], RemoteProtocolError)
    assert stage.told[1] == [1.0]


def test_more_than_may_be_under_way_waits_and_what_opens_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trunk_traffic, "MOST_UNANSWERED", 2)
    stage = Stage("batch", "resume")
    stage.connect()
    stage.open(4)
    for number in range(4):
        stage.ask(number, GetState())
    stage.ask(4, Reset())
    (frame,) = stage.sent()
    assert [one["type"] for one in frame] == ["state", "state", "open"]
    assert stage.sent() == []
    stage.say({"type": "state", "session": "1", "id": 1, "state": {"number": 1}})
    ((request,),) = stage.sent()
    assert request["session"] == "2"


def test_sessions_that_are_over_say_why() -> None:
    stage = Stage("batch", "resume")
    stage.connect()
    stage.open(5)
    for number in range(3):
        stage.ask(number, Step(action={}))
    (frame,) = stage.sent()
    stage.say(failed(frame[0], "EPISODE_LOST", reason="evicted"), failed(frame[1], "EPISODE_LOST", reason="stuck"))
    stage.say({"type": "ended", "session": "2", "reason": "idle", "message": "m"})
    reasons = [(stage.told[n][0].details["reason"], stage.sessions[n].error is not None) for n in range(3)]
    assert reasons == [("evicted", True), ("stuck", False), ("idle", True)], "a stuck session goes on at its next reset"
    (farewells,) = stage.sent()
    assert [(one["type"], one["session"]) for one in farewells] == [("close", "0"), ("close", "2")]
    stage.traffic.interrupt()
    stage.connect()
    (resumes,) = stage.sent()
    assert {one["session"] for one in resumes} == {"1", "3", "4"}
    stage.say({"type": "resumed", "session": "1", "last_id": 1}, failed({"session": "3"}, "SESSION_NOT_FOUND"))
    assert isinstance(stage.sessions[3].error, EpisodeLost)
    draining = {**failed({"session": "4"}, "SERVER_DRAINING"), "retryable": True}
    with pytest.raises(Broken):
        stage.say(draining)
    assert stage.sessions[4].error is None


def test_an_open_that_is_refused_fails_alone_and_may_wait_first() -> None:
    stage = Stage("batch", "resume", "queue")
    stage.connect()
    stage.ask(0, Reset())
    stage.ask(1, Reset())
    stage.now = 10.0
    (opens,) = stage.sent()
    assert [one["queue_timeout_s"] for one in opens] == [50.0, 50.0], "the time that is left"
    assert not stage.say({"type": "queued", "nonce": opens[0]["nonce"], "position": 3})
    refusal = {"type": "error", "session": "", "id": 0, "code": "CAPACITY_REACHED", "message": "full"}
    stage.say({**refusal, "retryable": True, "details": {"nonce": opens[0]["nonce"]}}, opened(opens[1], 1))
    assert stage.queued == [3]
    assert isinstance(stage.told[0][0], CapacityReached)
    assert stage.sessions[0].is_over
    assert len(stage.traffic) == 1
    ((request,),) = stage.sent()
    assert request["session"] == "1"


@pytest.mark.parametrize("when", ["before it opens", "when it is open", "while there is no connection"])
def test_what_is_given_up_is_ended_on_the_server(when: str) -> None:
    stage = Stage("batch", "resume")
    stage.connect()
    stage.ask(0, Reset())
    ((request,),) = stage.sent()
    if when != "before it opens":
        stage.say(opened(request, 0))
        stage.sent()
    if when == "while there is no connection":
        stage.traffic.interrupt()
    session = stage.sessions[0]
    session.error = SessionClosed("given up")
    stage.traffic.leave(session)
    stage.traffic.tell(session, session.error)
    if when == "before it opens":
        assert stage.sent() == []
        stage.say(opened(request, 0))
    if when == "while there is no connection":
        assert stage.sent() == []
        stage.connect()
        ((resume,),) = stage.sent()
        stage.say({"type": "resumed", "session": resume["session"], "last_id": 1})
    ((farewell,),) = stage.sent()
    assert (farewell["type"], farewell["session"]) == ("close", "0")
    assert len(stage.traffic) == stage.traffic.waiting == 0
    assert stage.told[0] == [session.error], "once"


def test_a_session_that_ends_in_order_is_carried_no_more() -> None:
    stage = Stage("batch")
    stage.connect()
    stage.open(2)
    stage.ask(0, Close())
    ((request,),) = stage.sent()
    stage.say({"type": "closed", "session": "0", "id": request["id"]})
    assert stage.told[0] == [None]
    assert stage.sessions[0].is_over
    assert [session.wire.id for session in stage.traffic.all()] == ["1"]


def test_an_error_about_no_session_is_one_of_the_connection() -> None:
    stage = Stage("batch", "resume")
    stage.connect()
    stage.open(1)
    told: Callable[[], None] = lambda: stage.say(  # noqa: E731 - said once
        {
            "type": "error",
            "session": "",
            "id": 0,
            "code": "INVALID_JSON",
            "message": "m",
            "retryable": False,
            "details": {},
        }
    )
    stage.ask(0, GetState())
    stage.sent()
    with pytest.raises(RemoteProtocolError):
        told()
    stage.traffic.interrupt()
    stage.connect()
    stage.sent()
    stage.say({"type": "resumed", "session": "0", "last_id": 0})
    stage.sent()
    assert isinstance(stage.told[0][0], EpisodeLost), "which request the server could not read is not known for sure"


def test_what_stands_behind_a_refusal_in_the_same_frame_is_told_before_the_break() -> None:
    stage = Stage("batch", "resume")
    stage.connect()
    stage.open(3)
    stage.traffic.interrupt()
    stage.connect()
    stage.ask(0, Step(action={}))
    stage.ask(2, Step(action={}))
    [resumes] = stage.sent()
    by_session = {one["session"]: one for one in resumes}
    stage.say(*({"type": "resumed", "session": number, "last_id": 0} for number in "02"))
    [[first, last]] = stage.sent()
    refusal = {**failed(by_session["1"], "SERVER_DRAINING"), "retryable": True}
    with pytest.raises(Broken):
        stage.say(observed(first), refusal, observed(last))
    assert all(isinstance(stage.told[number][0], StepResult) for number in (0, 2))
