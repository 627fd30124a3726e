"""What is of one episode, one client or one plane stays there."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from tests.unit.server.lifespan import living
from tests.unit.server.mcp.spoken import Desk, OlderSpeaker, Site, StatelessSpeaker, last, spoken, text

from openenv import Observation, RewardInvalid
from openenv.app import create_app
from openenv.protocol import Reset
from openenv.server import AccessOptions, Role
from openenv.session import Ending, Session
from openenv.tools import Elicit, ToolContext, prompt, resource

REWARD = 86753.09375
"""A number that is nowhere else."""

NO_HANDSHAKE = {"content-type": "application/json"}
PLACED = pytest.mark.parametrize("isolation", ["inline", "thread"])


class Chaptered(Desk):
    """Tells which episode it is, and asks before it begins."""

    @resource("desk://chapter")
    def chapter(self) -> str:
        """Number of the episode."""
        return str(len(self.resets))

    @prompt
    def welcome(self, context: ToolContext) -> str:
        """Welcome somebody."""
        answer = context.ask(name=Elicit("Who?", {"type": "object", "properties": {"name": {"type": "string"}}}))
        return f"welcome, {answer['name']['content']['name']}"


class Boarded(Desk):
    """Answers with an observation of its own."""

    async def step_async(self, action: Any, **options: Any) -> Any:
        await super().step_async(action, **options)
        return Board(board="x", reward=REWARD, metadata={"solution": REWARD})


class Board(Observation):
    board: str


class Fixed(Desk):
    """Goes the same way again."""

    deterministic: ClassVar[bool] = True


class Lonely(Desk):
    """There can be one only."""

    SUPPORTS_CONCURRENT_SESSIONS: ClassVar[bool] = False


async def _begun(site: Site, session: Session, **capabilities: Any) -> OlderSpeaker:
    speaker = OlderSpeaker(site, "/mcp", session.agent_token())
    assert "result" in await speaker.initialize(**capabilities)
    return speaker


def _legacy(site: Site) -> OlderSpeaker:
    speaker = OlderSpeaker(site)
    speaker.headers = dict(NO_HANDSHAKE)
    return speaker


@pytest.mark.parametrize("era", [OlderSpeaker, StatelessSpeaker])
async def test_what_waits_behind_a_reset_does_nothing_in_the_next_episode(era: Any) -> None:
    async with spoken(Chaptered) as site:
        session = await site.session()
        agent: Any = await _begun(site, session) if era is OlderSpeaker else era(site, "/mcp", session.agent_token())
        site.begin(agent.request("tools/call", {"name": "wait", "arguments": {}}))
        async with asyncio.timeout(10):
            await site.world.began.wait()
        reset = asyncio.create_task(session.reset(Reset()))
        await asyncio.sleep(0)  # it waits for its turn
        asked = [agent.calling("unlock"), site.begin(agent.request("resources/read", {"uri": "desk://chapter"}))]
        legacy = _legacy(site)
        legacy.headers["authorization"] = f"Bearer {session.agent_token()}"
        asked.append(legacy.calling("unlock"))
        turns = session._turn  # all of them came before the reset was done
        await site.until(lambda: turns._waiting is not None and len(turns._waiting) == 4)
        site.world.go.set()
        await reset
        for one in asked:
            await one.until(lambda one=one: one.is_complete)
        called, read, told = map(last, asked)
        assert text(called) == (True, "The episode is over: no more tool calls are taken.")
        assert "result" not in read
        assert "is over" in read["error"]["message"]
        assert "is over" in told["error"]["message"]
        assert (session.outcome().steps, len(site.world.resets)) == (0, 2)


@PLACED
async def test_an_answer_of_the_last_episode_calls_nothing_in_the_next(isolation: str) -> None:
    async with spoken(isolation=isolation) as site:
        session = await site.session()
        agent = OlderSpeaker(site, f"/sessions/{session.id}/mcp")
        await agent.initialize(elicitation={})
        call = agent.calling("greet")
        await call.until(lambda: call.said)
        await session.reset(Reset())
        await agent.say({"jsonrpc": "2.0", "id": json.loads(call.said[0])["id"], "result": {"action": "decline"}})
        await call.until(lambda: call.is_complete)
        assert text(last(call)) == (True, "The episode is over: no more tool calls are taken.")
        assert session.outcome().steps == 0
        assert text(await agent.call("add", {"a": 1})) == (False, "1")


@PLACED
async def test_a_prompt_that_asks_asks_the_client(isolation: str) -> None:
    async with spoken(Chaptered, isolation=isolation) as site:
        agent = await _begun(site, await site.session(), elicitation={})
        asked = site.begin(agent.request("prompts/get", {"name": "welcome"}))
        await asked.until(lambda: asked.said)
        answer = {"action": "accept", "content": {"name": "Ada"}}
        await agent.say({"jsonrpc": "2.0", "id": json.loads(asked.said[0])["id"], "result": answer})
        await asked.until(lambda: asked.is_complete)
        assert last(asked)["result"]["messages"][0]["content"]["text"] == "welcome, Ada"


@pytest.mark.parametrize("name", ["tools/call", "prompts/get"])
async def test_who_gives_up_a_request_is_not_waited_for(name: str) -> None:
    async with spoken(Chaptered) as site:
        session = await site.session()
        agent = await _begun(site, session, elicitation={})
        tool = "greet" if name == "tools/call" else "welcome"
        given_up, other = (site.begin(agent.request(name, {"name": tool, "arguments": {}})) for _ in range(2))
        for one in (given_up, other):
            await one.until(lambda one=one: one.said)
        await agent.notify("notifications/cancelled", {"requestId": agent.ids - 1})
        await given_up.until(lambda: given_up.is_complete)
        assert not other.is_complete
        refused = {"jsonrpc": "2.0", "id": json.loads(other.said[0])["id"], "error": {"code": -1, "message": "no"}}
        await agent.say(refused)
        await other.until(lambda: other.is_complete)
        assert site.clients._clients[session.id][agent.headers["mcp-session-id"]].is_idle
        assert session.outcome().steps == 0


@PLACED
async def test_an_observation_of_the_authors_own_tells_agents_no_reward(isolation: str) -> None:
    async with spoken(Boarded, isolation=isolation) as site:
        session = await site.session()
        older = await _begun(site, session)
        stateless = StatelessSpeaker(site, "/mcp", session.agent_token())
        for answer in (await older.call("add", {"a": 1}), await stateless.call("add", {"a": 1})):
            assert answer["result"]["structuredContent"] == {"board": "x"}
            assert str(REWARD) not in json.dumps(answer)
        assert str(REWARD) not in json.dumps(await _legacy(site).call("add", {"a": 1}, session_id=session.id))
        assert session.outcome().reward == REWARD


@pytest.mark.parametrize("token", ["", " ", "token-of-all-agents"])
async def test_in_production_a_token_that_says_nothing_of_its_client_gives_nobody_anothers(token: str) -> None:
    auth = AccessOptions(True, {Role.AGENT: token}) if token.strip() else None
    async with spoken(mode="production", auth=auth) as site:
        for _ in range(2):
            answer = await StatelessSpeaker(site, "/mcp", token).call("unlock")
            assert answer["error"]["code"] == -32601  # upon which clients begin with initialize
        assert site.world.resets == []
        one, other = OlderSpeaker(site, "/mcp", token), OlderSpeaker(site, "/mcp", token)
        for speaker in (one, other):
            await speaker.initialize()
        assert text(await one.call("unlock")) == (False, "open")
        assert text(await one.call("hidden")) == (False, "found")
        assert "error" in await other.call("hidden")


async def test_in_production_a_client_is_told_once_that_its_environment_has_ended() -> None:
    async with spoken(mode="production") as site:
        mine, other = (StatelessSpeaker(site, "/mcp", token) for token in ("the-token-of-one", "the-token-of-another"))
        for speaker in (mine, other):
            assert text(await speaker.call("unlock")) == (False, "open")
        (first, _) = site.engine.sessions
        await site.engine.endings.end(first, Ending.LEASE_EXPIRED)
        answer = await mine.call("hidden")
        assert answer["error"]["message"].startswith("Your environment has ended: no connection held it")
        assert text(await other.call("hidden")) == (False, "found")
        assert "error" in await mine.call("hidden")  # which is there once it was unlocked: this is a new one
        assert text(await mine.call("unlock")) == (False, "open")


async def test_a_reset_that_fails_is_the_end_of_a_token_too() -> None:
    class Odd(Desk):
        def reset(self, seed: int | None = None) -> Observation:
            super().reset()
            return Observation(reward=float("nan") if len(self.resets) > 1 else None)

    async with spoken(Odd) as site:
        session = await site.session()
        token = session.agent_token()
        assert session.admits(token)
        with pytest.raises(RewardInvalid):
            await session.reset(Reset())
        assert not session.admits(token)
        assert session.admits(session.agent_token())


async def test_in_production_older_openenv_clients_leave_no_session() -> None:
    async with spoken(mode="production", capacity=2) as site:
        for _ in range(4):
            assert "result" in await _legacy(site).ask("tools/list")
            await site.until(lambda: not site.engine.active)


@pytest.mark.parametrize("method", ["tools/list", "tools/call", "openenv/session/create", "openenv/session/close"])
async def test_older_openenv_clients_need_a_token_like_others(method: str) -> None:
    async with spoken(auth=AccessOptions(True, {Role.ORCHESTRATOR: "token-of-the-orchestrator"})) as site:
        session = await site.session()
        for named in ({}, {"session_id": session.id}, {"session_id": "nobodys"}):
            if method != "openenv/session/close" or named:
                asked = await site.serve(_legacy(site).request(method, {"name": "add", **named}))
                assert (asked.status, asked.headers.get("www-authenticate")) == (401, "Bearer")
        assert len(site.world.resets) == 1


async def test_at_the_port_of_agents_nobody_ends_what_others_opened() -> None:
    async with spoken() as site:
        site.app.state.access.agent_port = 9000
        session = await site.session()

        async def ask(method: str, **params: str) -> Any:
            exchange = _legacy(site).request(method, params)
            exchange.scope["server"] = ("test", 9000)
            return last(await site.serve(exchange))

        assert (await ask("openenv/session/close", session_id=session.id))["error"]["code"] == -32601
        assert not session.is_ending
        own = (await ask("openenv/session/create"))["result"]["session_id"]
        assert (await ask("openenv/session/close", session_id=own))["result"]["closed"]


async def test_agents_hide_from_nobody_that_an_episode_gave_way() -> None:
    async with spoken(Lonely, capacity=1) as site:
        transport = httpx.ASGITransport(site.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as trainer:
            step = {"action": {"type": "call_tool", "tool_name": "add", "arguments": {"a": 1}}}
            assert (await trainer.post("/reset")).status_code == 200
            opened = (await trainer.post("/sessions")).json()
            await trainer.delete(f"/sessions/{opened['session_id']}")
            trainer.cookies.clear()
            assert text(await StatelessSpeaker(site).call("add", {"a": 2})) == (False, "2")
            lost = await trainer.post("/step", json=step)
            assert (lost.status_code, lost.json()["error"]["code"]) == (410, "EPISODE_LOST")
            assert (await trainer.post("/reset")).status_code == 200
            assert (await trainer.post("/step", json=step)).status_code == 200


@pytest.mark.parametrize("era", [OlderSpeaker, StatelessSpeaker])
async def test_who_listens_with_a_token_hears_nothing_of_the_next_episode(era: Any) -> None:
    async with spoken() as site:
        session = await site.session()
        watchers = session.episode.watchers
        listening = []
        for token in (session.agent_token(), None):
            speaker: Any = era(site, f"/sessions/{session.id}/mcp", token)
            if era is OlderSpeaker:
                await speaker.initialize()
                listening.append(speaker.listening())
            else:
                asked = {"notifications": {"toolsListChanged": True}}
                listening.append(site.begin(speaker.request("subscriptions/listen", asked)))
        await site.until(lambda: len(watchers) == 2)
        agent, anybody = listening
        await session.reset(Reset())
        await agent.until(lambda: agent.is_complete)
        speaker = OlderSpeaker(site, f"/sessions/{session.id}/mcp")
        await speaker.initialize()
        await speaker.call("unlock")
        await anybody.until(lambda: any("list_changed" in one for one in anybody.said))
        assert not any("list_changed" in one for one in agent.said)
        assert not anybody.is_complete
        assert len(watchers) == 1
        again = await site.serve(agent_of(site, era, session, agent))
        assert again.status == 401


def agent_of(site: Site, era: Any, session: Session, before: Any) -> Any:
    """The same request once more."""
    speaker = era(site, f"/sessions/{session.id}/mcp")
    told = {name.decode(): value.decode() for name, value in before.scope["headers"]}
    speaker.headers = {"content-type": "application/json", **{k: v for k, v in told.items() if k != "host"}}
    return speaker.exchange(b'{"jsonrpc":"2.0","id":1,"method":"ping"}', before.scope["method"])


@pytest.mark.parametrize("path", ["/mcp", "/sessions/{}/mcp"])
async def test_who_may_not_ask_a_session_does_not_wake_it(tmp_path: Path, path: str) -> None:
    """To bring one back is work: an environment is built, and its episode played again."""
    kept: dict[str, Any] = {"isolation": "inline", "journal": tmp_path, "auth": AccessOptions()}
    app = create_app(_of(Fixed), **kept)
    async with living(app):
        session = await app.state.engine.open(nonce="a secret nonce")
        await session.reset(Reset())
        stale = session.agent_token()
        await session.reset(Reset())
        good = session.agent_token()
    app = create_app(_of(Fixed), **kept)
    async with living(app):
        site = Site(app, Fixed)
        for wrong in (stale, good[:-1], good.replace(session.id, "nobody")):
            speaker = StatelessSpeaker(site, path.format(session.id), wrong)
            assert (await site.serve(speaker.request("tools/list"))).status == 401
        assert len(site.engine.recovery) == 1
        assert "result" in await StatelessSpeaker(site, path.format(session.id), good).ask("tools/list")
        assert len(site.engine.recovery) == 0
        await site.aclose()


def _of(cls: type[Desk]) -> type[Desk]:
    return type(cls.__name__, (cls,), {"began": asyncio.Event(), "go": asyncio.Event(), "resets": []})
