"""What a client asks besides moves: the outcome, access for an agent, which tools there are."""

from __future__ import annotations

import pytest
from tests.unit.client.stage import DENIED, LOST_AFTER, MemoryServer, Stage, lost, only, server

from openenv.client.tool_calls import list_request, listed
from openenv.errors import LocalProtocolError, Unauthorized
from openenv.protocol import AgentGranted, GetOutcome, GrantAgent, OutcomeIs, Request


def able() -> MemoryServer:
    """A server with all that this is about."""
    return MemoryServer("resume", "queue", "outcome", "agent")


def test_the_outcome_and_the_access_of_an_episode() -> None:
    stage = Stage(able())
    stage.reset()
    stage.step()
    told = stage.talk.expected(stage.play(stage.talk.ask(GetOutcome(), None)), OutcomeIs)
    assert (told.phase, told.steps) == ("running", 1)
    granted = stage.talk.expected(stage.play(stage.talk.ask(GrantAgent(), None)), AgentGranted)
    assert (granted.mcp_url, granted.token) == ("/sessions/s1/mcp", "s1.a")
    assert stage.step()["steps"] == 2  # the episode went on


@pytest.mark.parametrize("request_", [GetOutcome(), GrantAgent()], ids=lambda one: type(one).__name__)
def test_a_server_that_cannot_is_not_asked(request_: Request) -> None:
    memory = server()
    stage = Stage(memory)
    stage.reset()
    with pytest.raises(LocalProtocolError, match="this server is older and has no"):
        stage.play(stage.talk.ask(request_, None))
    assert stage.step()["steps"] == 1
    assert only(memory).ran == ["reset", "step"]


@pytest.mark.parametrize("request_", [GetOutcome(), GrantAgent()], ids=lambda one: type(one).__name__)
def test_nobody_is_told_of_another_episode(request_: Request) -> None:
    memory = able()
    stage = Stage(memory)
    stage.reset()
    stage.cut()
    memory.sessions.clear()  # the server was restarted
    assert lost(lambda: stage.play(stage.talk.ask(request_, None))) == "session_unknown"
    assert len(memory.opened) == 1  # there is no fresh session that answers


def test_before_an_episode_it_is_that_of_the_session() -> None:
    stage = Stage(able(), {3: LOST_AFTER})  # and an answer that gets lost is asked for again
    told = stage.play(stage.talk.ask(GetOutcome(), None))
    assert isinstance(told, OutcomeIs)
    assert only(stage.server).ran == ["getoutcome"]


def test_to_list_tools_begins_no_episode() -> None:
    memory = able()
    stage = Stage(memory)
    tools = listed(stage.talk.looked(stage.play(stage.talk.ask(list_request(), None))))
    assert [tool.name for tool in tools] == ["go"]
    stage.cut()
    memory.sessions.clear()  # so that all that was before is gone
    assert stage.state() == {"steps": 0}  # which is no loss: there was no episode
    assert len(memory.opened) == 2


def test_who_is_not_let_in_is_told_so() -> None:
    stage = Stage(able(), {1: DENIED})
    with pytest.raises(Unauthorized):
        stage.reset()
    assert not stage.server.opened
    assert stage.reset() == {"session": "s1", "steps": 0}  # the token may have been made known meanwhile


def test_who_is_not_let_in_again_loses_the_episode() -> None:
    stage = Stage(able())
    stage.reset()
    stage.cut()
    stage.faults = dict.fromkeys(range(1, 100), DENIED)
    assert lost(stage.step) == "connection_lost"
    assert sum(stage.pauses) > 50  # a server that starts anew may deny for a moment
    stage.faults = {}
    assert lost(stage.step) == "connection_lost"  # nothing runs on another session
    assert stage.reset()["session"] == "s2"


def test_who_is_let_in_again_goes_on() -> None:
    stage = Stage(able())
    stage.reset()
    stage.cut()
    stage.faults = {stage.exchanges + 1: DENIED}
    assert stage.step() == {"session": "s1", "steps": 1}
