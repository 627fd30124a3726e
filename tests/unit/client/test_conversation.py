"""A conversation without I/O: breaks at every point, and how long they are mended."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.unit.client.stage import LOST_AFTER, LOST_BEFORE, REFUSED, V2, MemoryServer, Stage, kind, lost, only, server

from openenv.client.moves import Ask
from openenv.errors import (
    ConnectFailed,
    ConnectionLost,
    EpisodeLost,
)
from openenv.protocol import ClientConnection, ClientSession, GetState, Open, Opened

EPISODE = ["reset", "step", "step", "getstate", "close"]
EXCHANGES = 8  # connect, hello, open, and the five above


def whole_episode(stage: Stage) -> list[Any]:
    told = [stage.reset(), stage.step(), stage.step(), stage.state()]
    stage.end()
    return told


def test_without_a_break() -> None:
    stage = Stage(server())
    told = whole_episode(stage)
    assert stage.exchanges == EXCHANGES
    assert stage.at_once == 2
    assert [one["steps"] for one in told] == [0, 1, 2, 2]
    assert only(stage.server).ran == EPISODE


@pytest.mark.parametrize("how", [LOST_BEFORE, LOST_AFTER])
@pytest.mark.parametrize("at", range(2, EXCHANGES + 1))
def test_one_break_changes_nothing(at: int, how: str) -> None:
    stage = Stage(server(), {at: how})
    assert [one["steps"] for one in whole_episode(stage)] == [0, 1, 2, 2]
    assert stage.connections == 2
    assert only(stage.server).ran == EPISODE


@pytest.mark.parametrize("at", range(2, EXCHANGES + 1))
@pytest.mark.parametrize(
    ("second", "third"),
    list(itertools.product([1, 2, 3, 4], [LOST_BEFORE, LOST_AFTER, REFUSED])),
)
def test_further_breaks_while_it_is_mended_change_nothing(at: int, second: int, third: str) -> None:
    stage = Stage(server(), {at: LOST_AFTER, at + second: third, at + second + 1: REFUSED})
    assert [one["steps"] for one in whole_episode(stage)] == [0, 1, 2, 2]
    assert only(stage.server).ran == EPISODE


def test_a_resend_has_its_old_id() -> None:
    stage = Stage(server(), {5: LOST_AFTER})
    stage.reset()
    stage.step()
    asked = [(kind(r), r.id) for r in stage.server.requests]
    assert asked == [("Open", 0), ("Reset", 1), ("Step", 2), ("Resume", 0), ("Step", 2)]


def test_an_open_is_asked_again_with_its_nonce() -> None:
    stage = Stage(server(), {3: LOST_AFTER, 5: LOST_BEFORE, 9: REFUSED})
    stage.reset()
    opens = [r for r in stage.server.requests if isinstance(r, Open)]
    assert len(opens) > 1
    assert len({r.nonce for r in opens}) == 1
    assert len(opens[0].nonce) == 32


def test_a_break_between_two_calls() -> None:
    stage = Stage(server())
    stage.reset()
    for steps in (1, 2):
        stage.cut()
        assert stage.step()["steps"] == steps
    stage.cut()
    stage.end()
    assert only(stage.server).ran == ["reset", "step", "step", "close"]


def test_a_first_connect_is_not_tried_again() -> None:
    stage = Stage(server(), {1: REFUSED})
    with pytest.raises(ConnectFailed):
        stage.reset()
    assert stage.exchanges == 1


# How long it is tried ----------------------------------------------------------------------------


@pytest.mark.parametrize("at", [4, 5])
def test_what_is_told_when_no_connection_comes_about_again(at: int) -> None:
    faults = dict.fromkeys(range(at + 1, 999), REFUSED) | {at: LOST_AFTER}
    stage = Stage(server(), faults, reconnect_timeout_s=30)
    if at == 4:
        with pytest.raises(ConnectionLost):
            stage.reset()  # whether it has begun nobody knows
    else:
        stage.reset()
        assert lost(stage.step) == "connection_lost"
    assert stage.now == pytest.approx(30)
    assert lost(stage.step) == "connection_lost"
    assert lost(stage.state) == "connection_lost"


def test_the_pauses_grow_and_the_first_attempt_comes_at_once() -> None:
    stage = Stage(server(), dict.fromkeys(range(5, 999), REFUSED), reconnect_timeout_s=30)
    stage.reset()
    stage.cut()
    lost(stage.step)
    assert stage.pauses[:9] == pytest.approx([0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5])


def test_a_request_keeps_its_own_time_while_it_is_mended() -> None:
    stage = Stage(server(), dict.fromkeys(range(5, 999), REFUSED))
    stage.reset()
    stage.cut()
    assert lost(lambda: stage.step(timeout_s=3)) == "timeout"
    assert stage.now == pytest.approx(3)


def test_every_answer_renews_the_time_there_is() -> None:
    stage = Stage(server(), reconnect_timeout_s=0.1)
    stage.reset()
    for steps in range(1, 9):
        stage.faults = {stage.exchanges + 1: LOST_AFTER, stage.exchanges + 2: REFUSED}
        assert stage.step()["steps"] == steps
    assert stage.now == pytest.approx(8 * 0.05)


def test_never_to_reconnect() -> None:
    stage = Stage(server(), {5: LOST_AFTER}, reconnect_timeout_s=0)
    stage.reset()
    assert lost(stage.step) == "connection_lost"
    assert stage.connections == 1


class Process:
    ended = True

    def close(self) -> None:
        pass


def test_nobody_waits_for_a_server_of_its_own_that_has_ended() -> None:
    stage = Stage(server(), {5: LOST_AFTER}, owned=Process())
    stage.reset()
    assert lost(stage.step) == "connection_lost"
    assert stage.now == 0


def test_a_server_that_cannot_resume_loses_the_episode_as_it_ever_did() -> None:
    stage = Stage(MemoryServer(), {5: LOST_AFTER})
    stage.reset()
    assert lost(stage.step) == "connection_lost"
    assert stage.connections == 1
    assert all(move.silence_s is None for move in stage.moves if isinstance(move, Ask) and move.frame is not None)


def test_a_state_that_finds_no_session_and_no_server() -> None:
    stage = Stage(server(), {4: LOST_BEFORE} | dict.fromkeys(range(5, 99), REFUSED))
    with pytest.raises(ConnectionLost):
        stage.state()


def test_a_step_after_the_episode_was_lost_asks_nothing() -> None:
    stage = Stage(server())
    stage.reset()
    stage.server.gone["s1"] = EpisodeLost("it hangs", details={"reason": "stuck"})
    assert lost(stage.step) == "stuck"
    exchanges = stage.exchanges
    assert lost(stage.step) == "stuck"
    assert stage.exchanges == exchanges


def test_one_request_may_be_asked_of_two_sessions() -> None:
    connection, request = ClientConnection(V2), GetState()
    one, other = ClientSession("1"), ClientSession("2")
    for session in (one, other):
        connection.send(session.introduction(), session)
        opened = Opened(session=f"s{session.nonce}", nonce=session.nonce, token="t")
        connection.receive(str(server().frame(opened)))
    asked = connection.send(request, one)
    connection.send(request, other)
    assert connection.send_again(one) == asked
