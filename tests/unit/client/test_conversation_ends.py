"""A conversation without I/O: sessions that are over, requests that are given up, and the queue for a place."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.unit.client.stage import LOST_AFTER, LOST_BEFORE, REFUSED, MemoryServer, Stage, kind, lost, only, server

from openenv.client.breaks import Break, Broken
from openenv.client.moves import Ask
from openenv.errors import CapacityReached, EpisodeLost, RequestTimeout, ServerDraining, SessionClosed, SessionNotFound
from openenv.protocol import Ended, GetOutcome, Open, OutcomeIs, Queued, Request, Resume

# Sessions that are over --------------------------------------------------------------------------


def gone(reason: str) -> EpisodeLost:
    return EpisodeLost(f"the episode was lost ({reason})", details={"reason": reason})


def test_a_session_that_is_gone_when_it_is_resumed() -> None:
    stage = Stage(server(), {5: LOST_BEFORE})
    stage.reset()
    stage.server.end(only(stage.server), gone("lease_expired"))
    assert lost(stage.step) == "lease_expired"
    assert lost(stage.state) == "lease_expired"
    assert stage.reset()["session"] == "s2"
    assert stage.connections == 2  # the connection itself was sound


def test_a_session_that_the_server_does_not_know() -> None:
    stage = Stage(server(), {5: LOST_BEFORE})
    stage.reset()
    stage.server.sessions.clear()
    with pytest.raises(EpisodeLost, match="the server was restarted, or has forgotten") as caught:
        stage.step()
    assert caught.value.details == {"reason": "session_unknown"}


def test_a_reset_does_not_mind() -> None:
    stage = Stage(server())
    stage.reset()
    stage.cut()
    stage.server.end(only(stage.server), gone("reclaimed"))
    assert stage.reset()["session"] == "s2"


def test_a_request_of_a_session_that_is_over() -> None:
    stage = Stage(server())
    stage.reset()
    stage.server.end(only(stage.server), gone("idle"))
    assert lost(stage.step) == "idle"
    assert stage.reset()["session"] == "s2"
    assert stage.connections == 1


@pytest.mark.parametrize("at_once", [True, False])
def test_a_notice_that_the_session_has_ended(at_once: bool) -> None:
    stage = Stage(server())
    stage.reset()
    notice = stage.server.frame(Ended(session="s1", reason="server_stopped", message="it was told to"))
    if at_once:
        stage.inbox.append(notice)
    else:
        stage.before_ask = lambda move: stage.inbox.append(notice)
    with pytest.raises(EpisodeLost, match="it was told to") as caught:
        stage.step()
    stage.before_ask = lambda move: None
    assert caught.value.details == {"reason": "server_stopped"}
    assert lost(stage.state) == "server_stopped"
    assert stage.reset()["session"] == "s2"
    assert stage.connections == 1


def test_a_notice_where_no_episode_was() -> None:
    stage = Stage(server())
    stage.play(stage.talk.connect())
    stage.inbox.append(stage.server.frame(Ended(session="s1", reason="idle", message="nobody asked")))
    assert stage.state() == {"steps": 0}
    assert len(stage.server.opened) == 2


def test_a_notice_about_another_session_is_none() -> None:
    stage = Stage(server())
    stage.reset()
    stage.inbox.append(stage.server.frame(Ended(session="other", reason="idle", message="?")))
    assert stage.step()["steps"] == 1


def test_a_server_that_stops_while_it_is_resumed_is_tried_again() -> None:
    stage = Stage(server(), {5: LOST_BEFORE})
    stage.reset()
    stage.server.gone["s1"] = ServerDraining("stopping")
    stage.before_ask = lambda move: stage.server.gone.clear() if stage.connections == 3 else None
    assert stage.step()["steps"] == 1


# Give-ups ----------------------------------------------------------------------------------------


def interrupted(stage: Stage, error: BaseException) -> None:
    """Have the next request that is under way fail so, after the server has got it."""

    def interrupt(move: Ask) -> None:
        stage.before_ask = lambda move: None
        assert move.frame is not None
        stage.inbox.append(stage.server.answer(move.frame, {"s1"}))
        raise error

    stage.before_ask = interrupt


@pytest.mark.parametrize(
    ("error", "raised", "reason"),
    [(Broken(Break.TIMEOUT, "late"), EpisodeLost, "timeout"), (KeyboardInterrupt(), KeyboardInterrupt, "cancelled")],
)
def test_after_a_give_up_the_connection_goes_on(error: BaseException, raised: type, reason: str) -> None:
    stage = Stage(server())
    stage.reset()
    interrupted(stage, error)
    with pytest.raises(raised):
        stage.step()
    assert only(stage.server).ran == ["reset", "step", "close"]
    assert lost(stage.step) == reason
    assert stage.reset() == {"session": "s2", "steps": 0}  # though late replies of the first came before
    assert stage.connections == 1
    kinds = [kind(r) for r in stage.server.requests]
    assert kinds == ["Open", "Reset", "Step", "Close", "Open", "Reset"]


@pytest.mark.parametrize("why", [Break.MESSAGE_TOO_LARGE, Break.PROTOCOL_ERROR])
def test_what_is_given_up_with_its_connection_is_ended_on_the_next(why: Break) -> None:
    stage = Stage(server())
    stage.reset()
    interrupted(stage, Broken(why, "so"))
    assert lost(stage.step) == why.value
    assert stage.reset()["session"] == "s2"
    assert stage.server.sessions["s1"].ran == ["reset", "step", "close"]
    kinds = [kind(r) for r in stage.server.requests]
    assert kinds == ["Open", "Reset", "Step", "Resume", "Close", "Open", "Reset"]


def test_that_it_cannot_be_ended_is_no_error() -> None:
    stage = Stage(server())
    stage.reset()
    interrupted(stage, Broken(Break.PROTOCOL_ERROR, "so"))
    lost(stage.step)
    stage.server.end(only(stage.server), gone("lease_expired"))
    assert stage.reset()["session"] == "s2"


@pytest.mark.parametrize("fault", [None, LOST_BEFORE, LOST_AFTER])
def test_a_close_ends_what_was_given_up(fault: str | None) -> None:
    stage = Stage(server())
    stage.reset()
    interrupted(stage, Broken(Break.PROTOCOL_ERROR, "so"))
    lost(stage.step)
    if fault is not None:
        stage.faults = {stage.exchanges + 3: fault}  # connect, hello, resume
    stage.end()
    assert only(stage.server).ran == ["reset", "step", "close"]


def test_a_close_that_is_sent_twice_is_a_success(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(server())
    stage.reset()
    stage.faults = {stage.exchanges + 1: LOST_AFTER}
    stage.before_ask = lambda move: stage.server.gone.update(s1=gone("closed")) if stage.connections == 2 else None
    stage.end()
    assert not caplog.records
    with pytest.raises(SessionClosed):
        stage.state()


def test_a_close_does_not_wait_longer_than_for_a_connection(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(server(), connect_timeout_s=7)
    stage.reset()
    stage.faults = dict.fromkeys(range(stage.exchanges + 1, 999), REFUSED)
    stage.cut()
    stage.end()
    assert 0 < stage.now <= 7
    assert "did not say that the session has ended" in caplog.text


def test_an_open_that_was_given_up_is_taken_up_again() -> None:
    stage = Stage(server(), message_timeout_s=5)

    def hold(move: Ask) -> None:
        if move.frame is not None:
            raise Broken(Break.TIMEOUT, "late")

    stage.before_ask = hold
    with pytest.raises(RequestTimeout):
        stage.reset()
    stage.before_ask = lambda move: None
    stage.reset()
    assert len(stage.server.opened) == 1


def test_a_call_that_is_closed_by_another_makes_no_further_attempt() -> None:
    stage = Stage(server(), dict.fromkeys(range(5, 999), REFUSED))
    stage.reset()
    stage.cut()
    stage.talk.interrupted.set()
    with pytest.raises(SessionClosed):
        stage.step()
    assert len(stage.pauses) <= 1


# The queue ---------------------------------------------------------------------------------------


def opens(stage: Stage) -> list[Request]:
    return [r for r in stage.server.requests if isinstance(r, Open | Resume)]


def test_who_would_wait_for_a_place_is_told_where_it_stands() -> None:
    heard: list[int] = []
    stage = Stage(server(), queue_timeout_s=8, on_queued=heard.append)

    def queue(move: Ask) -> None:
        if move.frame is not None and not stage.server.requests:
            request = stage.server._codec.decode(move.frame)
            assert isinstance(request, Open)
            for position in (2, 1):
                stage.inbox.append(stage.server.frame(Queued(nonce=request.nonce, position=position)))

    stage.before_ask = queue
    stage.reset()
    assert heard == [2, 1]
    (opened,) = opens(stage)
    assert isinstance(opened, Open)
    assert opened.queue_timeout_s == 8


def test_a_server_without_a_queue_is_not_asked_to_keep_one() -> None:
    stage = Stage(MemoryServer("resume"), queue_timeout_s=8)
    stage.reset()
    (opened,) = opens(stage)
    assert isinstance(opened, Open)
    assert opened.queue_timeout_s == 0


def test_a_full_server_is_told_at_once_and_again_only_for_a_place_left_here() -> None:
    stage = Stage(server())
    stage.server.refusals = [CapacityReached("full")]
    with pytest.raises(CapacityReached):
        stage.reset()
    assert not stage.pauses
    stage.reset()
    interrupted(stage, Broken(Break.TIMEOUT, "late"))
    lost(stage.step)
    stage.server.refusals = [CapacityReached("full")] * 3
    stage.reset()
    assert Counter(kind(r) for r in stage.server.requests)["Open"] == 6
    assert stage.connections == 1


# The outcome of what was lost --------------------------------------------------------------------


def outcome(stage: Stage) -> OutcomeIs:
    """What has come of the episode."""
    return stage.talk.expected(stage.play(stage.talk.ask(GetOutcome(), None)), OutcomeIs)


def stuck() -> Stage:
    """An episode that was lost in its second step, while its session is there."""
    stage = Stage(MemoryServer("resume", "queue", "outcome"))
    stage.reset()
    stage.step()
    only(stage.server).loses = gone("stuck")
    assert lost(stage.step) == "stuck"
    return stage


@pytest.mark.parametrize("is_cut", [False, True])
def test_the_session_of_a_lost_episode_tells_its_outcome(is_cut: bool) -> None:
    stage = stuck()
    if is_cut:
        stage.cut()
    assert outcome(stage).steps == 1
    assert lost(stage.state) == lost(stage.step) == "stuck"
    assert outcome(stage).steps == 1
    assert stage.reset()["session"] == "s1"


@pytest.mark.parametrize("is_cut", [False, True])
def test_no_other_session_tells_the_outcome_of_one_that_is_gone(is_cut: bool) -> None:
    stage = stuck()
    stage.server.end(only(stage.server), SessionNotFound("it is gone"))
    if is_cut:
        stage.cut()
    assert [lost(lambda: outcome(stage)) for _ in range(2)] == ["stuck", "stuck"]
    assert len(stage.server.opened) == 1
    assert stage.reset()["session"] == "s2"
    assert outcome(stage).steps == 0


def test_nobody_is_asked_for_the_outcome_of_an_episode_that_was_given_up() -> None:
    stage = Stage(MemoryServer("resume", "queue", "outcome"), dict.fromkeys(range(5, 999), REFUSED))
    stage.reset()
    stage.cut()
    assert lost(lambda: stage.step(timeout_s=3)) == "timeout"
    exchanges = stage.exchanges
    assert lost(lambda: outcome(stage)) == "timeout"
    assert stage.exchanges == exchanges
