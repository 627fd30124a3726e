"""The stateless era: a request is told, asked, cancelled and listened to on its own answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.server.mcp.spoken import Desk, StatelessSpeaker, last, spoken, text

from openenv.protocol import Reset

ASKED = {"elicitation": {}}
_PREFIX = "io.modelcontextprotocol"


async def test_discovery_says_what_is_there() -> None:
    async with spoken() as site:
        result = (await StatelessSpeaker(site).ask("server/discover"))["result"]
        assert result["instructions"] == "Be brief."
        assert "2026-07-28" in result["supportedVersions"]
        assert {"tools", "resources", "prompts"} <= set(result["capabilities"])


@pytest.mark.parametrize("isolation", ["inline", "thread"])
async def test_what_a_call_says_is_told_before_its_answer(isolation: str) -> None:
    async with spoken(isolation=isolation) as site:
        session = await site.session()
        speaker = StatelessSpeaker(site, "/mcp", session.agent_token())
        quiet = await site.serve(speaker.request("tools/call", {"name": "tell", "arguments": {}}))
        assert not quiet.is_stream, "nothing was wanted"
        meta = {"progressToken": "p", f"{_PREFIX}/logLevel": "info"}
        told = await site.serve(speaker.request("tools/call", {"name": "tell", "arguments": {}, "_meta": meta}))
        progress, log, answer = (json.loads(one) for one in told.said)
        assert progress["params"] == {"progressToken": "p", "progress": 1.0, "total": 2.0, "message": "half"}
        assert log["params"] == {"level": "error", "logger": "desk", "data": "trouble"}
        assert text(answer) == (False, "told")
        assert all(not one.id for one in told.events), "there is no coming back in this era"


async def test_a_tool_that_asks_is_called_again_with_the_answers() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = StatelessSpeaker(site, "/mcp", session.agent_token())
        speaker.capabilities = ASKED  # type: ignore[misc]
        first = (await speaker.call("greet"))["result"]
        assert (first["resultType"], list(first["inputRequests"])) == ("input_required", ["name"])
        assert session.outcome().steps == 0
        answers = {"name": {"action": "accept", "content": {"name": "Ada"}}}
        second = await speaker.call("greet", inputResponses=answers, requestState=first["requestState"])
        assert list(second["result"]["inputRequests"]) == ["age"]
        state = second["result"]["requestState"]
        older = {"age": {"action": "accept", "content": {"age": 36}}}
        done = await speaker.call("greet", inputResponses=older, requestState=state)
        assert text(done) == (False, "Ada 36")
        assert session.outcome().steps == 1
        for bad in (state[:-2], "x", state + "x"):
            refused = await speaker.call("greet", inputResponses=older, requestState=bad)
            assert refused["error"]["code"] == -32602
        other = await site.session()
        stranger = StatelessSpeaker(site, "/mcp", other.agent_token())
        stranger.capabilities = ASKED  # type: ignore[misc]
        refused = await stranger.call("greet", inputResponses=older, requestState=state)
        assert refused["error"]["code"] == -32602, "what one session signed is nothing to another"
        assert (session.outcome().steps, other.outcome().steps) == (1, 0)
        await session.reset(Reset())
        later = StatelessSpeaker(site, "/mcp", session.agent_token())
        later.capabilities = ASKED  # type: ignore[misc]
        refused = await later.call("greet", inputResponses=older, requestState=state)
        assert refused["error"]["code"] == -32602, "nor to the next episode"


async def test_a_client_that_cannot_be_asked_is_told_what_it_lacks() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = StatelessSpeaker(site, "/mcp", session.agent_token())
        for tool, lacking in (("greet", "elicitation"), ("dream", "sampling")):
            exchange = await site.serve(speaker.request("tools/call", {"name": tool, "arguments": {}}))
            error = last(exchange)["error"]
            assert (exchange.status, error["code"]) == (400, -32021)
            assert lacking in error["data"]["requiredCapabilities"]
        assert session.outcome().steps == 0


async def test_who_hangs_up_cancels() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = StatelessSpeaker(site, "/mcp", session.agent_token())
        speaker.headers["accept"] = "application/json"
        call = speaker.calling("wait")
        await site.world.began.wait()
        call.hang_up()
        await site.until(lambda: session.outcome().steps == 1)
        assert not call.is_complete
        assert text(await speaker.call("add", {"a": 1})) == (False, "1")


async def test_who_waits_in_line_and_hangs_up_has_made_no_step() -> None:
    async with spoken() as site:
        session = await site.session()
        first, second = (StatelessSpeaker(site, "/mcp", session.agent_token()) for _ in range(2))
        second.headers["accept"] = "application/json"
        call = first.calling("wait")
        await site.world.began.wait()
        waiting = second.calling("add", {"a": 1})
        await site.until(lambda: session.is_busy)
        waiting.hang_up()
        await site.until(lambda: len(site.unserved) == 1)
        site.world.go.set()
        await call.until(lambda: call.is_complete)
        await session.turn()
        assert session.outcome().steps == 1


async def test_who_listens_hears_of_changes_and_of_the_end() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = StatelessSpeaker(site, "/mcp", session.agent_token())
        wanted = {"toolsListChanged": True, "resourceSubscriptions": ["desk://rules"]}
        listening = site.begin(speaker.request("subscriptions/listen", {"notifications": wanted}))
        await listening.until(lambda: listening.said)
        other = site.begin(speaker.request("subscriptions/listen", {"notifications": {"promptsListChanged": True}}))
        await other.until(lambda: other.said)
        await speaker.call("add", {"a": 1})
        await speaker.call("unlock")
        await speaker.call("tell")
        await session.close()
        await listening.until(lambda: listening.is_complete)
        await other.until(lambda: other.is_complete)
        told = [json.loads(one) for one in listening.said]
        assert [one.get("method", "answer") for one in told] == [
            "notifications/subscriptions/acknowledged",
            "notifications/tools/list_changed",
            "notifications/resources/updated",
            "answer",
        ]
        assert len(other.said) == 2, "it wanted something else"
        assert "0.625" not in listening.body.decode()


async def test_who_listens_holds_the_session() -> None:
    async with spoken() as site:
        clock = [1000.0]
        site.engine.leases._clock = lambda: clock[0]
        session = await site.session()
        speaker = StatelessSpeaker(site, "/mcp", session.agent_token())
        listening = site.begin(speaker.request("subscriptions/listen", {"notifications": {}}))
        await listening.until(lambda: listening.said)
        clock[0] += 10_000
        assert [one for one, _ in site.engine.leases.over()] == []
        listening.hang_up()
        await site.until(lambda: not site.unserved)
        assert session.episode.watchers == []
        clock[0] += 10_000
        assert [one for one, _ in site.engine.leases.over()] == [session]


async def test_headers_repeat_arguments_of_the_running_episode() -> None:
    """A tool from elsewhere may want other headers after a reset."""

    class Changing(Desk):
        def offer(self, method: str, params: dict[str, Any]) -> Any:
            answer: Any = super().offer(method, params)
            if method != "tools/list":
                return answer
            return self._marked(answer)

        async def _marked(self, answer: Any) -> Any:
            listed = await answer
            if len(self.resets) > 1:
                for one in listed["tools"]:
                    if one["name"] == "add":
                        one["inputSchema"]["properties"]["a"]["x-mcp-header"] = "A"
            return listed

    async with spoken(Changing) as site:
        session = await site.session()
        path = f"/sessions/{session.id}/mcp"
        speaker = StatelessSpeaker(site, path)
        assert text(await speaker.call("add", {"a": 1})) == (False, "1")
        await site.session()  # whose reset is the second
        await session.reset(Reset())
        assert (await speaker.call("add", {"a": 1}))["error"]["code"] == -32020
        told = speaker.request("tools/call", {"name": "add", "arguments": {"a": 1}}, **{"mcp-param-a": "1"})
        assert text(last(await site.serve(told))) == (False, "1")


@pytest.mark.parametrize("token", [{}, [], 1.5, True])
async def test_a_progress_token_of_a_wrong_kind_is_refused(token: Any) -> None:
    async with spoken() as site:
        answer = await StatelessSpeaker(site).call("tell", _meta={"progressToken": token})
        assert answer["error"]["code"] == -32602
