"""Arrays of messages, which clients of the two oldest versions may send."""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

import pytest
from tests.unit.server.lifespan import living
from tests.unit.server.mcp.asgi import Exchange
from tests.unit.server.mcp.spoken import Desk, OlderSpeaker, Site, StatelessSpeaker, spoken, text

from openenv import Observation
from openenv.app import create_app
from openenv.environment import ToolEnvironment
from openenv.protocol import Reset
from openenv.session import Session
from openenv.tools import tool

BATCHING = ["2024-11-05", "2025-03-26"]
CANCELLED = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}


async def _begun(site: Site, session: Session | None, version: str = BATCHING[1], **capabilities: Any) -> OlderSpeaker:
    speaker = OlderSpeaker(site, "/mcp", None if session is None else session.agent_token())
    assert "result" in await speaker.initialize(version, **capabilities)
    del speaker.headers["mcp-protocol-version"]  # those clients do not send it
    return speaker


def _asked(id: int | str, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def _call(id: int | str, tool: str, **arguments: Any) -> dict[str, Any]:
    return _asked(id, "tools/call", name=tool, arguments=arguments)


def _exchange(speaker: OlderSpeaker, *messages: Any, **headers: str) -> Exchange:
    return speaker.exchange(json.dumps(messages).encode(), **headers)


async def _answers(speaker: OlderSpeaker, *messages: Any) -> list[Any]:
    exchange = await speaker.site.serve(_exchange(speaker, *messages))
    assert exchange.status == 200
    if exchange.is_stream:  # something was told before
        return [one for one in map(json.loads, exchange.said) if "id" in one]
    found = json.loads(exchange.body)
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("isolation", ["inline", "thread"])
@pytest.mark.parametrize("version", BATCHING)
async def test_requests_are_made_one_after_the_other(version: str, isolation: str) -> None:
    async with spoken(isolation=isolation) as site:
        session = await site.session()
        speaker = await _begun(site, session, version)
        unlocking = [_call(1, "hidden"), _call("two", "unlock"), _call(3, "hidden"), _asked(4, "ping")]
        before, unlocked, after, pong = await _answers(speaker, *unlocking)
        assert [one["id"] for one in (before, unlocked, after, pong)] == [1, "two", 3, 4]
        assert before["error"]["code"] == -32602
        assert text(unlocked) == (False, "open")
        assert text(after) == (False, "found")
        assert pong["result"] == {}
        assert session.outcome().steps == 3, "each call is a step, that of an unknown tool too"


async def test_every_step_of_an_array_is_rewarded() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = await _begun(site, session)
        exchange = await site.serve(_exchange(speaker, *(_call(number, "add", a=number) for number in range(100))))
        assert (exchange.status, exchange.headers["content-type"]) == (200, "application/json")
        answers = json.loads(exchange.body)
        assert [text(one) for one in answers] == [(False, str(number)) for number in range(100)]
        assert (session.outcome().steps, session.outcome().total_reward) == (100, 62.5)


async def test_what_is_no_request_gets_an_error_of_its_own() -> None:
    async with spoken() as site:
        speaker = await _begun(site, None)
        wrong, unknown, pong = await _answers(speaker, 3, CANCELLED, _asked(1, "no/such"), _asked(2, "ping"))
        assert (wrong["id"], wrong["error"]["code"]) == (None, -32600)
        assert (unknown["id"], unknown["error"]["code"]) == (1, -32601)
        assert (pong["id"], pong["result"]) == (2, {})


async def test_notifications_and_responses_alone_are_taken_without_an_answer() -> None:
    async with spoken() as site:
        speaker = await _begun(site, None)
        exchange = await site.serve(_exchange(speaker, CANCELLED, {"jsonrpc": "2.0", "id": "server-9", "result": {}}))
        assert (exchange.status, exchange.body) == (202, b"")


@pytest.mark.parametrize("body", [b"[]", b"[{]", b"[%b]" % b",".join([b"{}"] * 101)])
async def test_what_is_refused_as_a_whole(body: bytes) -> None:
    async with spoken() as site:
        speaker = await _begun(site, None)
        exchange = await site.serve(speaker.exchange(body))
        assert exchange.status == 400
        assert json.loads(exchange.body)["error"]["code"] in (-32600, -32700)


@pytest.mark.parametrize("has_session", [True, False])
async def test_an_initialize_is_sent_alone(has_session: bool) -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = await _begun(site, session) if has_session else OlderSpeaker(site)
        asked = _asked(1, "initialize", protocolVersion=BATCHING[1], capabilities={})
        exchange = await site.serve(_exchange(speaker, asked, _call(2, "add", a=1)))
        error = json.loads(exchange.body)
        assert (exchange.status, error["error"]["code"], error["id"]) == (400, -32600, 1)
        assert "'initialize' is sent alone" in error["error"]["message"]
        assert session.outcome().steps == 0
        assert [*site.engine.sessions] == [session]


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25"])
@pytest.mark.parametrize("names_it", [True, False])
async def test_later_versions_have_no_arrays(version: str, names_it: bool) -> None:
    async with spoken() as site:
        speaker = await _begun(site, None, version)
        more = {"mcp-protocol-version": version} if names_it else {}
        exchange = await site.serve(_exchange(speaker, _asked(1, "ping"), **more))
        assert exchange.status == 400
        assert f"MCP {version} has none" in json.loads(exchange.body)["error"]["message"]


async def test_the_stateless_era_has_no_arrays() -> None:
    async with spoken() as site:
        speaker = StatelessSpeaker(site)
        single = speaker.request("tools/list")
        body = json.loads((await single.receive())["body"])
        exchange = await site.serve(speaker.exchange(json.dumps([body]).encode(), mcp_protocol_version="2026-07-28"))
        assert exchange.status == 400
        assert "MCP 2026-07-28 has none" in json.loads(exchange.body)["error"]["message"]


async def test_without_an_mcp_session_there_are_no_arrays() -> None:
    async with spoken() as site:
        exchange = await site.serve(_exchange(OlderSpeaker(site), _asked(1, "ping")))
        assert exchange.status == 400
        assert "Mcp-Session-Id" in json.loads(exchange.body)["error"]["message"]


@pytest.mark.parametrize("isolation", ["inline", "thread"])
async def test_a_tool_that_asks_makes_it_a_stream_with_an_event_for_each_answer(isolation: str) -> None:
    async with spoken(isolation=isolation) as site:
        speaker = await _begun(site, await site.session(), sampling={})
        telling = _asked(2, "tools/call", name="tell", arguments={}, _meta={"progressToken": 7})
        batch = site.begin(_exchange(speaker, _call(1, "dream"), telling, _asked(3, "ping")))
        await batch.until(lambda: batch.said)
        question = json.loads(batch.said[0])
        assert question["method"] == "sampling/createMessage"
        answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"role": "assistant", "content": {}}}
        assert (await site.serve(_exchange(speaker, answer, CANCELLED | {"params": {"requestId": 9}}))).status == 202
        await batch.until(lambda: batch.is_complete)
        progress, *said = [
            one for one in map(json.loads, batch.said[1:]) if one.get("method") != "notifications/message"
        ]
        assert progress["params"]["progressToken"] == 7
        assert [one["id"] for one in said] == [1, 2, 3]
        assert text(said[1]) == (False, "told")


async def test_calls_that_wait_in_an_array_can_be_taken_back() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = await _begun(site, session)
        batch = site.begin(_exchange(speaker, _call(1, "wait"), _call(2, "add", a=1), _call(3, "add", a=2)))
        await site.world.began.wait()
        await speaker.notify("notifications/cancelled", {"requestId": 2})
        site.world.go.set()
        await batch.until(lambda: batch.is_complete)
        waited, taken_back, added = json.loads(batch.body)
        assert [text(waited), text(added)] == [(False, "waited"), (False, "2")]
        assert text(taken_back)[0]
        assert session.outcome().steps == 2


async def test_a_call_is_taken_back_by_what_comes_after_it_in_the_array() -> None:
    async with spoken() as site:
        session = await site.session()
        taken_back, added = await _answers(
            await _begun(site, session), _call(1, "wait"), CANCELLED, _call(2, "add", a=1)
        )
        assert text(taken_back)[0]
        assert text(added) == (False, "1")
        assert session.outcome().steps == 1


async def test_a_response_does_not_wait_behind_the_call_that_waits_for_it() -> None:
    """The second call waits for its turn until the first has ended, which waits for the response."""
    async with spoken(isolation="thread") as site:
        session = await site.session()
        speaker = await _begun(site, session, sampling={})
        asking = speaker.calling("dream")
        await asking.until(lambda: asking.said)
        question = json.loads(asking.said[0])["id"]
        answer = {"jsonrpc": "2.0", "id": question, "result": {"role": "assistant", "content": {}}}
        async with asyncio.timeout(10):
            [added] = await _answers(speaker, _call(7, "add", a=1), answer)
        await asking.until(lambda: asking.is_complete)
        assert text(added) == (False, "1")


async def test_who_leaves_takes_all_of_an_array_back() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = await _begun(site, session)
        batch = site.begin(_exchange(speaker, _call(1, "wait"), _call(2, "add", a=1)))
        await site.world.began.wait()
        assert await speaker.leave() == 200
        await batch.until(lambda: batch.is_complete)
        await site.until(lambda: not site.unserved)
        assert not site.world.go.is_set()
        assert session.outcome().steps == 1


async def test_the_rest_of_an_array_is_none_of_the_next_episode() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = OlderSpeaker(site, f"/sessions/{session.id}/mcp")
        await speaker.initialize(BATCHING[1])
        batch = site.begin(_exchange(speaker, _call(1, "wait"), _call(2, "add", a=1)))
        await site.world.began.wait()
        resetting = asyncio.create_task(session.reset(Reset()))
        await asyncio.sleep(0)  # it waits for its turn, which comes before that of the second call
        site.world.go.set()
        await resetting
        await batch.until(lambda: batch.is_complete)
        waited, late = json.loads(batch.body)
        assert text(waited) == (False, "waited")
        assert text(late)[0]
        assert session.outcome().steps == 0


async def test_after_a_restart_who_names_no_version_is_of_one_that_need_not() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = await _begun(site, session)
        site.clients._clients.clear()
        [pong] = await _answers(speaker, _asked(1, "ping"))
        assert pong["result"] == {}


async def test_nothing_of_an_array_is_left_once_it_is_answered() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = await _begun(site, session)
        await _answers(speaker, _call(1, "add", a=1), _call(1, "add", a=2), _asked(2, "ping"))
        client = site.clients.find(session, speaker.headers["mcp-session-id"], None)
        assert client.is_idle
        assert client._streams == {}


class Prompt(ToolEnvironment):
    """Answers at once."""

    SUPPORTS_CONCURRENT_SESSIONS: ClassVar[bool] = True

    def reset(self, seed: int | None = None) -> Observation:
        return Observation()

    @tool
    def add(self, a: int) -> int:
        """Add."""
        return a


async def test_an_array_keeps_nobody_else_waiting() -> None:
    app = create_app(Prompt, isolation="inline")
    async with living(app):
        site = Site(app, Desk)
        session = await site.session()
        assert session.answers_at_once
        batch = site.begin(
            _exchange(await _begun(site, session), *(_call(number, "add", a=1) for number in range(100)))
        )
        await site.until(lambda: session.outcome().steps)
        assert session.outcome().steps < 100
        await batch.until(lambda: batch.is_complete)
        assert session.outcome().steps == 100
        await session.close()
        await site.aclose()
