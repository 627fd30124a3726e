"""Calls that run while something happens: they are cancelled, their client hangs up, the episode ends under them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.living import DEADLINE_S
from tests.e2e.mcp_fault_worlds import AwaitedFaults, Faults
from tests.e2e.mcp_raw import ERAS, Exchange, Older, Stateless
from tests.e2e.mcp_stage import Era, Stage, staged, until

from openenv.record import open_recorded

pytestmark = [pytest.mark.e2e, pytest.mark.agents]

BOTH = pytest.mark.parametrize("era", ERAS)
LARGE = 2 * 1024 * 1024
WORLDS = pytest.mark.parametrize("world", [Faults, AwaitedFaults])


def started(stage: Stage, agent: Any, tool: str = "waits") -> Exchange:
    """A call that runs now, of which nothing is read."""
    exchange: Exchange = agent.begin(tool, wants_progress=True)
    assert stage.gate.began.acquire(timeout=DEADLINE_S)
    return exchange


@WORLDS
def test_a_notification_cancels_a_call_and_the_step_counts(world: Any) -> None:
    with staged(world) as stage:
        agent = stage.agent(Older)
        call = started(stage, agent)
        assert call.next()["params"] == {"progressToken": "p", "progress": 1.0, "total": 2.0}
        agent.cancel(agent.last_request)
        assert call.final()["result"]["isError"]
        assert stage.gate.ended.acquire(timeout=DEADLINE_S)
        stage.steps_become(1)
        assert agent.text("add", a=1) == (False, "2")


@WORLDS
def test_one_client_does_not_cancel_the_call_of_another(world: Any) -> None:
    with staged(world) as stage:
        agent, other = stage.agent(Older), stage.agent(Older)
        call = started(stage, agent)
        for request in (agent.last_request, 99, "x", -1):
            other.cancel(request)
        stage.gate.go.set()
        assert call.final()["result"]["content"][0]["text"] == "went on"


@WORLDS
def test_hanging_up_cancels_in_the_stateless_era(world: Any) -> None:
    with staged(world) as stage:
        agent = stage.agent(Stateless)
        call = started(stage, agent)
        assert call.next()["method"] == "notifications/progress"
        call.hang_up()
        assert stage.gate.ended.acquire(timeout=DEADLINE_S)
        stage.steps_become(1)
        assert agent.text("add", a=1) == (False, "2")


@pytest.mark.parametrize("accept", ["application/json", "application/json, text/event-stream"])
def test_hanging_up_before_anything_was_answered_cancels_too(accept: str) -> None:
    with staged(AwaitedFaults) as stage:
        agent = stage.agent(Stateless)
        agent.headers["accept"] = accept
        call = agent.begin("waits")
        assert stage.gate.began.acquire(timeout=DEADLINE_S)
        call.hang_up()
        assert stage.gate.ended.acquire(timeout=DEADLINE_S)
        stage.steps_become(1)


@BOTH
def test_who_is_cancelled_in_line_has_made_no_step(era: Era) -> None:
    with staged(AwaitedFaults) as stage:
        first, second = stage.agent(era), stage.agent(era)
        running = started(stage, first)
        waiting = second.begin("add", {"a": 1})
        assert waiting.status == 200, "after a second it is a stream"
        if isinstance(second, Older):
            second.cancel(second.last_request)
        else:
            waiting.hang_up()
        stage.gate.go.set()
        assert "result" in running.final()
        if era is Older:
            assert waiting.final()["result"]["isError"]
        assert first.text("add", a=5) == (False, "6")
        assert stage.steps == 2


@WORLDS
def test_an_older_client_that_was_cut_off_comes_back_for_its_answer(world: Any) -> None:
    with staged(world) as stage:
        agent = stage.agent(Older)
        call = started(stage, agent)
        assert call.next()["params"]["progress"] == 1.0
        last = call.last_id
        call.hang_up()
        again = agent.listen(last)
        assert again.status == 200
        stage.gate.go.set()
        assert [one.get("method", "answer") for one in again.messages()] == ["notifications/progress", "answer"]
        late = agent.listen(last)
        assert late.final()["result"]["content"][0]["text"] == "went on"
        assert stage.steps == 1


@WORLDS
def test_an_answer_waits_for_a_client_that_comes_back_later(world: Any) -> None:
    with staged(world) as stage:
        agent = stage.agent(Older)
        call = started(stage, agent)
        last = call.until_primed()
        call.hang_up()
        stage.gate.go.set()
        stage.steps_become(1)
        until(lambda: "result" in _all_of(agent, last)[-1])
        assert stage.steps == 1
        other = stage.agent(Older)
        standing = other.listen(last)  # of which that client has nothing
        assert standing.until_primed().startswith("s.")


def test_who_only_had_the_first_id_comes_back_too() -> None:
    """Of a call that says nothing, after a second there is a stream."""
    with staged(AwaitedFaults) as stage:
        agent = stage.agent(Older)
        call = agent.begin("waits")
        last = call.until_primed()
        call.hang_up()
        stage.gate.go.set()
        stage.steps_become(1)
        until(lambda: "result" in _all_of(agent, last)[-1])


@pytest.mark.parametrize("reads", [True, False])
def test_a_large_answer_is_kept_for_who_did_not_get_it_alone(reads: bool) -> None:
    with staged(AwaitedFaults) as stage:
        agent = stage.agent(Older)
        call = agent.begin("large", wants_progress=True)
        last = call.until_primed()
        assert stage.gate.began.acquire(timeout=DEADLINE_S)
        if not reads:
            call.hang_up()
        stage.gate.go.set()
        if reads:
            assert len(call.final()["result"]["content"][0]["text"]) == LARGE
        stage.steps_become(1)
        again = agent.listen(last)
        if reads:
            assert again.until_primed().startswith("s."), "it is forgotten: this is the stream of what is to come"
        else:
            assert len(again.final()["result"]["content"][0]["text"]) == LARGE


def _all_of(agent: Any, after: str) -> list[dict[str, Any]]:
    return list(agent.listen(after).messages())


@BOTH
def test_two_calls_at_the_same_moment_are_made_one_after_the_other(era: Era, tmp_path: Path) -> None:
    with staged(Faults, tmp_path / "journal") as stage:
        agents = [stage.agent(era) for _ in range(8)]
        calls = [agent.begin("add", {"a": number, "b": 0}) for number, agent in enumerate(agents) for _ in range(5)]
        answers = [one.final()["result"]["structuredContent"]["result"] for one in calls]
        assert answers == [number for number in range(8) for _ in range(5)]
        assert stage.steps == 40
        assert stage.trainer.state()["step_count"] == 40
    with open_recorded(tmp_path / "journal") as recorded:
        [run] = recorded.runs()
        [episode] = recorded.episodes(run.id)
        steps = [event for event in recorded.events(run.id, episode.episode) if event.kind == "step"]
    assert len(steps) == 40


@WORLDS
@BOTH
def test_a_reset_waits_for_the_running_call_and_the_token_is_over(world: Any, era: Era) -> None:
    with staged(world) as stage:
        agent, late = stage.agent(era), stage.agent(era)
        call = started(stage, agent)
        reset = Exchange(stage.url, "POST", "/reset", _named(stage.session), b"{}")
        stage.gate.go.set()
        assert call.final()["result"]["content"][0]["text"] == "went on"
        assert reset.status == 200
        exchange = late.begin("add", {"a": 1})
        exchange.read()
        assert exchange.status == 401
        assert stage.steps == 0


@BOTH
def test_a_session_that_is_deleted_answers_the_running_call_first(era: Era) -> None:
    with staged(AwaitedFaults) as stage:
        agent, other = stage.agent(era), stage.agent(era)
        call = started(stage, agent)
        waiting = other.begin("add", {"a": 1})
        assert waiting.status == 200, "it is in line"
        deleted = Exchange(stage.url, "DELETE", f"/sessions/{stage.session}", _named(stage.session))
        stage.gate.go.set()
        assert call.final()["result"]["content"][0]["text"] == "went on"
        assert deleted.status == 204
        assert "result" in waiting.final(), "its turn came before the end"
        exchange = agent.send("tools/list")
        exchange.read()
        assert exchange.status == 401, "the token's session has ended"
        agent.headers.pop("authorization")
        agent.path = f"/sessions/{stage.session}/mcp"
        exchange = agent.send("tools/list")
        exchange.read()
        assert exchange.status in (404, 410)


@BOTH
def test_after_the_end_of_the_episode_calls_are_told_so(era: Era) -> None:
    with staged(Faults) as stage:
        agent = stage.agent(era)
        assert agent.text("finish") == (False, "over")
        assert agent.text("add", a=1) == (True, "The episode is over: no more tool calls are taken.")
        assert agent.ask("tools/list")["result"]["tools"], "what only reads goes on"
        assert (stage.steps, stage.trainer.outcome().done) == (1, True)


def test_streams_end_with_their_session() -> None:
    with staged(Faults) as stage:
        older, newer = stage.agent(Older), stage.agent(Stateless)
        standing, subscribed = older.listen(), newer.listen(toolsListChanged=True)
        assert standing.until_primed()
        assert subscribed.next()["method"] == "notifications/subscriptions/acknowledged"
        httpx.delete(f"{stage.url}/sessions/{stage.session}", headers=_named(stage.session), trust_env=False)
        assert list(standing.messages()) == []
        assert [one["result"]["resultType"] for one in subscribed.messages()] == ["complete"]


def test_a_second_listener_takes_over() -> None:
    with staged(Faults) as stage:
        agent = stage.agent(Older)
        first = agent.listen()
        assert first.until_primed()
        second = agent.listen()
        assert second.until_primed()
        assert list(first.messages()) == []
        second.hang_up()
        assert agent.text("add", a=1) == (False, "2")


def test_a_listener_holds_the_lease() -> None:
    with staged(Faults, lease_s=1.0) as stage:
        held, dropped = (stage.joined(Older(stage.url)) for _ in range(2))
        standing = held.listen()
        assert standing.until_primed()
        assert stage.active() == 3
        until(lambda: stage.active() == 2)
        exchange = dropped.send("tools/list")
        assert (exchange.status, exchange.final()["error"]["code"]) == (404, -32001)
        assert held.text("add", a=1) == (False, "2")
        standing.hang_up()
        until(lambda: stage.active() == 1)


def test_a_client_that_leaves_ends_its_own_session_alone() -> None:
    with staged(Faults) as stage:
        own, joined = stage.joined(Older(stage.url)), stage.agent(Older)
        assert stage.active() == 2
        assert (own.leave(), joined.leave()) == (200, 200)
        until(lambda: stage.active() == 1)
        assert stage.agent(Older).text("add", a=1) == (False, "2")


def test_leaving_in_the_middle_of_a_call_loses_nobody_elses_turn() -> None:
    with staged(AwaitedFaults) as stage:
        agent, other = stage.agent(Older), stage.agent(Older)
        call = started(stage, agent)
        assert call.next()["params"]["progress"] == 1.0
        assert agent.leave() == 200
        assert stage.gate.ended.acquire(timeout=DEADLINE_S), "nobody waits for it any more: it is cancelled"
        assert other.text("add", a=1) == (False, "2")
        assert stage.steps == 2


def _named(session: str) -> dict[str, str]:
    return {"content-type": "application/json", "x-openenv-session": session}
