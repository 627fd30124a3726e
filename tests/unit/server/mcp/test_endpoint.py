"""Which era and which session a request is for, over the whole application."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.server.mcp.asgi import Exchange
from tests.unit.server.mcp.spoken import (
    OLDER,
    Desk,
    OlderSpeaker,
    Speaker,
    StatelessSpeaker,
    last,
    spoken,
    text,
)

from openenv.protocol import Reset

NO_HANDSHAKE = {"content-type": "application/json"}


async def _begun(speaker: Speaker) -> Speaker:
    if isinstance(speaker, OlderSpeaker):
        await speaker.initialize()
    return speaker


ERAS = pytest.mark.parametrize("era", [OlderSpeaker, StatelessSpeaker])
PLACED = pytest.mark.parametrize("isolation", ["inline", "thread"])


@ERAS
@PLACED
async def test_a_call_is_a_step_of_the_session_that_the_url_or_the_token_names(era: Any, isolation: str) -> None:
    async with spoken(isolation=isolation) as site:
        session = await site.session()
        token = session.agent_token()
        for number, (path, shown) in enumerate(
            [("/mcp", token), (f"/sessions/{session.id}/mcp", token), (f"/sessions/{session.id}/mcp", None)], 1
        ):
            speaker = await _begun(era(site, path, shown))
            assert text(await speaker.call("add", {"a": 2, "b": 3})) == (False, "5")
            assert session.outcome().steps == number
            assert session.outcome().reward == 0.625


@ERAS
async def test_the_answers_of_both_eras(era: Any) -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = await _begun(era(site, "/mcp", session.agent_token()))
        listed = (await speaker.ask("tools/list"))["result"]["tools"]
        assert [one["name"] for one in listed] == ["add", "tell", "wait", "greet", "dream", "overpay", "unlock"]
        read = await speaker.ask("resources/read", {"uri": "desk://rules"})
        assert read["result"]["contents"][0]["text"] == "be kind"
        missing = await speaker.ask("resources/read", {"uri": "desk://none"})
        assert missing["error"]["code"] == (-32002 if era is OlderSpeaker else -32602)
        asked = await speaker.ask("prompts/get", {"name": "begin_work", "arguments": {"who": "you"}})
        assert asked["result"]["messages"][0]["content"]["text"] == "begin, you"
        for method in ("resources/list", "resources/templates/list", "prompts/list"):
            assert "result" in await speaker.ask(method)
        assert (await speaker.ask("nonsense"))["error"]["code"] == -32601
        assert session.outcome().steps == 0


@ERAS
async def test_nothing_that_an_agent_is_told_tells_of_rewards(era: Any) -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = await _begun(era(site, "/mcp", session.agent_token()))
        for tool in ("add", "overpay", "nothing"):
            exchange = await site.serve(
                speaker.request("tools/call", {"name": tool, "arguments": {"a": 1} if tool == "add" else {}})
            )
            assert b"0.625" not in exchange.body
            assert b"nan" not in exchange.body
            assert b"reward" not in exchange.body
        assert session.outcome().steps == 3


async def test_older_clients_without_a_name_have_sessions_of_their_own() -> None:
    async with spoken(capacity=2) as site:
        one, two, three = (OlderSpeaker(site) for _ in range(3))
        greeting = await one.initialize()
        assert greeting["result"]["instructions"] == "Be brief."
        assert greeting["result"]["serverInfo"]["name"] == "Desk"
        await two.initialize()
        assert site.engine.active == 2
        assert site.world.resets == [1, 1]
        asked = {"protocolVersion": OLDER, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
        full = await site.serve(three.request("initialize", asked))
        assert (full.status, "error" in last(full), last(full)["id"]) == (503, True, 1)
        assert await one.leave() == 200
        assert site.engine.active == 1
        await three.initialize()
        assert text(await three.call("add", {"a": 1})) == (False, "1")


async def test_an_initialize_that_fails_leaves_no_session(monkeypatch: Any) -> None:
    class Mute(Desk):
        def offer(self, method: str, params: dict[str, Any]) -> Any:
            raise ValueError("secret")

    async with spoken(Mute) as site:
        answer = await OlderSpeaker(site).initialize()
        assert answer["error"]["code"] == -32603
        await site.until(lambda: site.engine.active == 0)
        missing = await OlderSpeaker(site).ask("initialize", {})
        assert missing["error"]["code"] == -32602
        assert site.world.resets == [1], "what cannot be agreed on opens nothing"


async def test_an_environment_that_cannot_be_reset_is_no_session(caplog: Any) -> None:
    class Broken(Desk):
        def reset(self, seed: int | None = None) -> Any:
            raise ValueError("no world")

    async with spoken(Broken) as site:
        answer = await OlderSpeaker(site).initialize()
        assert "no world" in answer["error"]["message"]
        await site.until(lambda: site.engine.active == 0)


async def test_stateless_clients_without_a_name_share_the_session_of_plain_http() -> None:
    async with spoken() as site:
        one, two = StatelessSpeaker(site), StatelessSpeaker(site)
        assert text(await one.call("unlock")) == (False, "open")
        assert text(await two.call("hidden")) == (False, "found")
        assert site.world.resets == [1]
        state = await site.serve(Exchange(method="GET", path="/state"))
        assert json.loads(state.body)["step_count"] == 2


async def test_in_production_each_client_has_an_environment_of_its_own() -> None:
    async with spoken(mode="production") as site:
        nobody = StatelessSpeaker(site)
        exchange = await site.serve(nobody.request("tools/list"))
        assert (exchange.status, last(exchange)["error"]["code"]) == (404, -32601)
        assert "initialize" in last(exchange)["error"]["message"]
        first, again, other = (StatelessSpeaker(site, token=token) for token in ("one", "one", "other"))
        assert text(await first.call("unlock")) == (False, "open")
        assert text(await again.call("hidden")) == (False, "found")
        assert (await other.call("hidden"))["error"]["code"] == -32602
        assert site.engine.active == 2
        older = OlderSpeaker(site)
        await older.initialize()
        assert site.engine.active == 3
        [mine] = [one for one in site.engine.sessions if older.headers["mcp-session-id"].startswith(one.id)]
        await mine.close()
        gone = await site.serve(older.request("tools/list"))
        assert (gone.status, last(gone)["error"]["code"]) == (404, -32001)


async def test_in_production_nobody_waits_for_the_environment_of_another() -> None:
    class Slow(Desk):
        async def reset_async(self, seed: int | None = None) -> Any:
            answer = self.reset(seed)
            if len(self.resets) == 1:
                type(self).began.set()
                await type(self).go.wait()
            return answer

    async with spoken(Slow, mode="production", isolation="inline") as site:
        slow = StatelessSpeaker(site, token="slow")
        twice = [slow.calling("add", {"a": 1}) for _ in range(2)]
        await site.world.began.wait()
        assert text(await StatelessSpeaker(site, token="quick").call("add", {"a": 2})) == (False, "2")
        site.world.go.set()
        for exchange in twice:
            await exchange.until(lambda exchange=exchange: exchange.is_complete)
            assert text(last(exchange)) == (False, "1")
        assert len(site.world.resets) == 2, "two requests at once are of one client"


async def test_what_has_no_mcp_session_may_only_begin() -> None:
    async with spoken() as site:
        session = await site.session()
        for path in ("/mcp", f"/sessions/{session.id}/mcp"):
            speaker = OlderSpeaker(site, path)
            speaker.headers["mcp-protocol-version"] = OLDER
            exchange = await site.serve(speaker.request("tools/list"))
            assert (exchange.status, last(exchange)["id"]) == (400, 1)
            for method in ("GET", "DELETE"):
                assert (await site.serve(speaker.exchange(method=method))).status == 405


@ERAS
async def test_sessions_that_are_not_there(era: Any) -> None:
    async with spoken() as site:
        session = await site.session()
        token = session.agent_token()
        for path, shown, status in [
            ("/sessions/nobody/mcp", None, 404),
            ("/mcp", "nobody.1.mac", 401),
            ("/mcp", token[:-1] + ("A" if token[-1] != "A" else "B"), 401),
            (f"/sessions/{session.id}/mcp", "other", 401),
        ]:
            method = "tools/list" if era is StatelessSpeaker else "initialize"
            exchange = await site.serve(era(site, path, shown).request(method))
            assert exchange.status == status, path
            assert last(exchange)["id"] == 1
            assert exchange.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)
        await session.close()
        exchange = await site.serve(era(site, f"/sessions/{session.id}/mcp").request("tools/list"))
        assert exchange.status in (404, 410)


async def test_a_token_is_good_for_one_episode() -> None:
    async with spoken() as site:
        session = await site.session()
        speaker = OlderSpeaker(site, "/mcp", session.agent_token())
        await speaker.initialize()
        await session.reset(Reset())
        assert (await site.serve(speaker.request("tools/list"))).status == 401
        speaker.headers["authorization"] = f"Bearer {session.agent_token()}"
        assert text(await speaker.call("add", {"a": 1})) == (False, "1")


async def test_what_is_not_json_and_what_is_too_much() -> None:
    async with spoken(max_message_bytes=1000) as site:
        speaker = Speaker(site)
        for body, status in [(b"{", 400), (b"[]", 400), (b"x" * 1001, 413)]:
            assert (await site.serve(speaker.exchange(body))).status == status
        assert (await site.serve(speaker.exchange(b"{}", **{"content-type": "text/plain"}))).status == 415
        assert (await site.serve(speaker.exchange(b"{}", accept="image/png"))).status == 406


async def test_a_mistake_of_the_servers_own_is_told_without_details(monkeypatch: Any, caplog: Any) -> None:
    async with spoken() as site:
        session = await site.session()

        async def broken(*_: Any, **__: Any) -> Any:
            raise RuntimeError("secret")

        monkeypatch.setattr(session, "offer", broken, raising=False)
        for speaker in (StatelessSpeaker(site, "/mcp", session.agent_token()),):
            answer = await speaker.ask("tools/list")
            assert answer["error"] == {"code": -32603, "message": "Internal error"}
    assert "secret" in caplog.text


async def _legacy(site: Any, method: str, path: str = "/mcp", **params: Any) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    exchange = await site.serve(Exchange(body, NO_HANDSHAKE, "POST", path))
    assert exchange.status == 200
    return json.loads(exchange.body)


async def test_the_json_rpc_of_older_openenv_clients() -> None:
    async with spoken() as site:
        made = (await _legacy(site, "openenv/session/create"))["result"]["session_id"]
        tools = (await _legacy(site, "tools/list", session_id=made))["result"]["tools"]
        assert "hidden" not in [one["name"] for one in tools]
        answer = await _legacy(site, "tools/call", session_id=made, name="add", arguments={"a": 1})
        assert answer["result"]["data"] == 1
        assert b"0.625" not in json.dumps(answer).encode()
        unpaid = await _legacy(site, "tools/call", session_id=made, name="overpay")
        assert "reward" not in unpaid["error"]["message"]
        assert (await _legacy(site, "tools/call", session_id="none", name="add"))["error"]["code"] == -32602
        assert (await _legacy(site, "openenv/session/close", session_id=made))["result"]["closed"]
        assert site.engine.active == 0
        assert (await _legacy(site, "tools/call", name="add", arguments={"a": 4}))["result"]["data"] == 4
        assert (await _legacy(site, "openenv/session/close"))["error"]["code"] == -32602


async def test_they_do_not_end_what_others_hold() -> None:
    async with spoken() as site:
        session = await site.session()
        path = f"/sessions/{session.id}/mcp"
        assert (await _legacy(site, "openenv/session/create", path))["result"]["session_id"] == session.id
        refused = await _legacy(site, "openenv/session/close", path, session_id=session.id)
        assert refused["error"]["code"] == -32601
        assert not session.is_ending


async def test_the_websocket_of_older_openenv_clients_has_a_session_of_its_own() -> None:
    async with spoken() as site:
        asked = [
            {"type": "websocket.connect"},
            *(
                {"type": "websocket.receive", "text": json.dumps({"jsonrpc": "2.0", "id": 1, **one})}
                for one in (
                    {"method": "tools/call", "params": {"name": "add", "arguments": {"a": 2}}},
                    {"method": "nonsense"},
                )
            ),
            {"type": "websocket.receive", "bytes": b"{"},
            {"type": "websocket.disconnect", "code": 1000},
        ]
        told: list[Any] = []

        async def receive() -> Any:
            return asked.pop(0)

        async def send(message: Any) -> None:
            told.append(message)

        scope = {"type": "websocket", "path": "/mcp", "headers": [(b"host", b"test")], "subprotocols": []}
        await site.app(scope, receive, send)
        assert told[0]["type"] == "websocket.accept"
        answers = [json.loads(one["text"]) for one in told[1:]]
        assert answers[0]["result"]["data"] == 2
        assert [one["error"]["code"] for one in answers[1:]] == [-32601, -32700]
        await site.until(lambda: site.engine.active == 0)
