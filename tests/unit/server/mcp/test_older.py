"""The older era: what a client says after its ``initialize``, what it is asked, and how it comes back."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.unit.server.mcp.spoken import OlderSpeaker, Site, last, spoken, text

from openenv.protocol import Reset
from openenv.server.mcp import older
from openenv.session import Session


async def _begun(site: Site, session: Session | None = None, **capabilities: Any) -> OlderSpeaker:
    speaker = OlderSpeaker(site, "/mcp", None if session is None else session.agent_token())
    assert "result" in await speaker.initialize(**capabilities)
    return speaker


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_the_versions_of_the_era(version: str) -> None:
    async with spoken() as site:
        speaker = OlderSpeaker(site)
        greeting = await speaker.initialize(version)
        assert greeting["result"]["protocolVersion"] == version
        assert (await speaker.ask("ping"))["result"] == {}
        before = speaker.headers["mcp-session-id"]
        await speaker.initialize(version)
        assert speaker.headers["mcp-session-id"] != before, "who begins again has another MCP session"


@pytest.mark.parametrize("isolation", ["inline", "thread"])
async def test_what_a_call_says_is_told_before_its_answer(isolation: str) -> None:
    async with spoken(isolation=isolation) as site:
        speaker = await _begun(site)
        assert "result" in await speaker.ask("logging/setLevel", {"level": "error"})
        asked = {"name": "tell", "arguments": {}, "_meta": {"progressToken": 7}}
        told = await site.serve(speaker.request("tools/call", asked))
        progress, log, answer = (json.loads(one) for one in told.said)
        assert progress["params"]["progressToken"] == 7
        assert log["params"] == {"level": "error", "logger": "desk", "data": "trouble"}
        assert text(answer) == (False, "told")
        assert told.events[0].id, "it begins with an id to come back with"
        speaker.headers["accept"] = "application/json"
        plain = await site.serve(speaker.request("tools/call", asked))
        assert text(json.loads(plain.body)) == (False, "told")


@pytest.mark.parametrize("isolation", ["inline", "thread"])
async def test_a_tool_that_asks_asks_the_client_on_the_stream_of_the_call(isolation: str) -> None:
    async with spoken(isolation=isolation) as site:
        session = await site.session()
        speaker = await _begun(site, session, elicitation={})
        call = speaker.calling("greet")
        for number, content in enumerate(({"name": "Ada"}, {"age": 36}), 1):
            await call.until(lambda number=number: len(call.said) == number)
            question = json.loads(call.said[-1])
            assert question["method"] == "elicitation/create"
            answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": content}}
            assert (await speaker.say(answer)).status == 202
            assert (await speaker.say(answer)).status == 202, "who says it twice says it once"
        await call.until(lambda: call.is_complete)
        assert text(last(call)) == (False, "Ada 36")
        assert session.outcome().steps == 1


async def test_a_client_that_refuses_or_cannot_be_asked_gets_a_result() -> None:
    async with spoken() as site:
        session = await site.session()
        unable, unwilling = await _begun(site, session), await _begun(site, session, elicitation={})
        is_error, said = text(await unable.call("greet"))
        assert is_error
        assert "elicitation" in said
        call = unwilling.calling("greet")
        await call.until(lambda: call.said)
        question = json.loads(call.said[0])["id"]
        foreign = {"jsonrpc": "2.0", "id": question, "error": {"code": -1, "message": "no user"}}
        assert (await unable.say(foreign)).status == 202, "another client answers nothing"
        assert not call.is_complete
        await unwilling.say(foreign)
        await call.until(lambda: call.is_complete)
        is_error, said = text(last(call))
        assert is_error
        assert "no user" in said
        assert session.outcome().steps == 0


async def test_a_client_that_does_not_answer_is_not_waited_for(monkeypatch: Any) -> None:
    monkeypatch.setattr(older, "_ASK_S", 0.01)
    async with spoken() as site:
        speaker = await _begun(site, None, elicitation={})
        call = speaker.calling("greet")
        await call.until(lambda: call.is_complete)
        assert text(last(call)) == (True, "The client did not answer what the tool asked.")


async def test_a_client_that_leaves_is_not_waited_for() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = await _begun(site, session, elicitation={})
        call = speaker.calling("greet")
        await call.until(lambda: call.said)
        assert await speaker.leave() == 200
        await call.until(lambda: call.is_complete)
        await site.until(lambda: not _work())
        assert session.outcome().steps == 0
        assert (await site.serve(speaker.request("ping"))).status == 404


async def test_a_client_that_leaves_cancels_what_it_asked() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = await _begun(site, session)
        speaker.calling("wait")
        await site.world.began.wait()
        assert await speaker.leave() == 200
        await site.until(lambda: session.outcome().steps == 1 and not _work())
        assert not site.world.go.is_set()


def _work() -> list[asyncio.Task[Any]]:
    """Requests that are being worked out, whoever still waits for them."""
    return [task for task in asyncio.all_tasks() if "OlderEra._final" in repr(task)]


async def test_a_notification_cancels_its_own_call_alone() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker, other = await _begun(site, session), await _begun(site, session)
        call = speaker.calling("wait")
        await site.world.began.wait()
        waiting = other.calling("add", {"a": 1})
        await other.notify("notifications/cancelled", {"requestId": speaker.ids})
        assert not call.is_complete
        await other.notify("notifications/cancelled", {"requestId": other.ids})
        await speaker.notify("notifications/cancelled", {"requestId": speaker.ids, "reason": "enough"})
        for exchange in (call, waiting):
            await exchange.until(lambda exchange=exchange: exchange.is_complete)
        assert text(last(call))[0]
        assert session.outcome().steps in (1, 2)  # the one in line may have had its turn before


async def test_the_end_of_one_call_does_not_forget_another_with_its_id() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = await _begun(site, session, elicitation={})
        first = speaker.calling("greet")
        await first.until(lambda: first.said)
        speaker.ids -= 1
        second = speaker.calling("wait")
        await site.world.began.wait()
        refusal = {"code": -1, "message": "no user"}
        await speaker.say({"jsonrpc": "2.0", "id": json.loads(first.said[0])["id"], "error": refusal})
        await first.until(lambda: first.is_complete)
        await speaker.notify("notifications/cancelled", {"requestId": speaker.ids})
        await second.until(lambda: second.is_complete)
        assert text(last(second))[0]
        assert not site.world.go.is_set()


async def test_an_id_that_is_used_twice_cancels_the_later() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = await _begun(site, session)
        first = speaker.calling("wait")
        await site.world.began.wait()
        speaker.ids -= 1
        second = speaker.calling("add", {"a": 1})
        await site.until(lambda: len(site.unserved) == 2)
        await speaker.notify("notifications/cancelled", {"requestId": speaker.ids})
        site.world.go.set()
        for exchange in (first, second):
            await exchange.until(lambda exchange=exchange: exchange.is_complete)
        assert text(last(first)) == (False, "waited")
        assert text(last(second)) == (True, "The call was cancelled before it began.")
        assert session.outcome().steps == 1


async def test_the_stream_of_what_is_no_answer() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = await _begun(site, session)
        assert (await site.serve(speaker.exchange(method="GET", accept="application/json"))).status == 406
        odd = {"mcp-protocol-version": "banana"}
        assert (await site.serve(speaker.exchange(method="GET", **odd))).status == 400
        listening = speaker.listening()
        await listening.until(lambda: listening.events)
        await speaker.ask("resources/subscribe", {"uri": "desk://rules"})
        for tool in ("add", "unlock", "tell"):
            arguments = {"a": 1} if tool == "add" else {}
            called = await site.serve(speaker.request("tools/call", {"name": tool, "arguments": arguments}))
            assert "changed" not in called.body.decode(), "it is told once"
        await listening.until(lambda: len(listening.said) == 2)
        methods = [json.loads(one)["method"] for one in listening.said]
        assert methods == ["notifications/tools/list_changed", "notifications/resources/updated"]
        last_id = listening.events[-2].id
        listening.hang_up()
        again = speaker.listening(last_id)
        await again.until(lambda: again.said)
        assert json.loads(again.said[0])["method"] == "notifications/resources/updated", "it comes back for the rest"
        await site.until(lambda: len(session.episode.watchers) == 1)
        newer = speaker.listening()
        await again.until(lambda: again.is_complete)
        await newer.until(lambda: newer.events)
        await session.close()
        await newer.until(lambda: newer.is_complete)
        assert "0.625" not in (listening.body + again.body + newer.body).decode()


async def test_changes_are_told_with_the_answer_where_nobody_listens() -> None:
    async with spoken() as site:
        speaker = await _begun(site)
        told = await site.serve(speaker.request("tools/call", {"name": "unlock", "arguments": {}}))
        assert [json.loads(one).get("method") for one in told.said] == ["notifications/tools/list_changed", None]


async def test_a_client_that_was_cut_off_comes_back_for_the_answer() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = await _begun(site, session, elicitation={})
        call = speaker.calling("greet")
        await call.until(lambda: call.said)
        question = json.loads(call.said[0])
        call.hang_up()
        await site.until(lambda: not site.unserved)
        back = speaker.listening(call.events[0].id)
        await back.until(lambda: back.said)
        assert json.loads(back.said[0]) == question, "what it is asked comes again"
        result = {"action": "decline"}
        await speaker.say({"jsonrpc": "2.0", "id": question["id"], "result": result})
        await back.until(lambda: back.is_complete)
        assert text(last(back)) == (False, "nobody")
        assert session.outcome().steps == 1
        late = speaker.listening(call.events[0].id)
        await late.until(lambda: late.is_complete)
        assert last(late) == last(back)


async def test_an_mcp_session_id_proves_itself_to_a_server_that_does_not_know_it() -> None:
    """As after a restart: the session is there, and nothing is known of its clients."""
    async with spoken() as site:
        session = await site.session()
        speaker = await _begun(site, session)
        endpoint = site.clients
        endpoint._clients.clear()
        assert text(await speaker.call("add", {"a": 1})) == (False, "1")
        good = speaker.headers["mcp-session-id"]
        for bad in (good[:-1], good + "x", good.replace(".n", ".a"), session.id, f"{session.id}..", ""):
            speaker.headers["mcp-session-id"] = bad
            exchange = await site.serve(speaker.request("ping"))
            assert (exchange.status, last(exchange)["error"]["code"]) == (404, -32001), bad


async def test_the_least_lately_used_client_makes_room() -> None:
    async with spoken() as site:
        session = await site.session()
        listener = await _begun(site, session)
        listening = listener.listening()
        await listening.until(lambda: listening.events)
        first = await _begun(site, session)
        others = [await _begun(site, session) for _ in range(63)]
        assert (await site.serve(first.request("ping"))).status == 404
        for one in (listener, *others):
            assert (await one.ask("ping"))["result"] == {}


async def test_who_listens_holds_the_session() -> None:
    async with spoken() as site:
        clock = [1000.0]
        site.engine.leases._clock = lambda: clock[0]
        speaker = await _begun(site)
        [session] = site.engine.sessions
        listening = speaker.listening()
        await listening.until(lambda: listening.events)
        clock[0] += 10_000
        assert site.engine.leases.over() == []
        listening.hang_up()
        await site.until(lambda: not site.unserved)
        assert session.episode.watchers == []
        clock[0] += 10_000
        assert [one for one, _ in site.engine.leases.over()] == [session]


async def test_only_streams_that_were_are_kept() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = await _begun(site, session)
        kept = lambda: len(site.clients.find(session, speaker.headers["mcp-session-id"], None)._streams)  # noqa: E731
        await speaker.call("add", {"a": 1})
        assert kept() == 0
        for number in range(12):
            await speaker.call("tell", _meta={"progressToken": number})
            assert kept() == min(number + 1, 8)


async def test_what_has_left_is_remembered_for_a_while() -> None:
    async with spoken() as site:
        session = await site.session()
        ids = []
        for _ in range(1030):
            speaker = await _begun(site, session)
            assert await speaker.leave() == 200
            ids.append(speaker.headers["mcp-session-id"])
        assert len(site.clients._gone[session.id]) == 1024
        assert (await site.serve(speaker.request("ping"))).status == 404
        await session.close()
        assert session.id not in site.clients._gone


async def test_after_a_reset_the_client_goes_on_where_no_token_is_wanted() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = OlderSpeaker(site, f"/sessions/{session.id}/mcp")
        await speaker.initialize()
        await speaker.call("unlock")
        await session.reset(Reset())
        names = [one["name"] for one in (await speaker.ask("tools/list"))["result"]["tools"]]
        assert "hidden" not in names
