"""An environment without tools, as an MCP client plays it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.server.lifespan import living
from tests.unit.server.mcp.spoken import OlderSpeaker, Site, StatelessSpeaker

from openenv import Action, Environment, Observation, State
from openenv.app import create_app
from openenv.session import Ending

REWARD = 86753.09375


class Guess(Action):
    word: str


class Riddle(Observation):
    question: str


class Riddler(Environment[Guess, Riddle, State]):
    """Asks one question."""

    def reset(self, seed: int | None = None) -> Riddle:
        return Riddle(question=f"riddle {seed}", metadata={"answer": "egg"})

    def step(self, action: Guess) -> Riddle:
        return Riddle(question="another", reward=REWARD, done=action.word == "egg")

    @property
    def state(self) -> State:
        return State()


@pytest.mark.parametrize("era", [OlderSpeaker, StatelessSpeaker])
async def test_it_sees_the_question_before_it_answers(era: Any) -> None:
    async with living(app := create_app(Riddler)):
        site = Site(app, Riddler)  # type: ignore[arg-type]
        session = await site.session()
        agent: Any = era(site, "/mcp", session.agent_token())
        if era is OlderSpeaker:
            told = (await agent.initialize())["result"]["instructions"]
        else:
            told = (await agent.ask("server/discover"))["result"]["instructions"]
        assert told.startswith("Asks one question.\n\nCall `observe`")
        assert [one["name"] for one in (await agent.ask("tools/list"))["result"]["tools"]] == ["act", "observe"]
        seen = (await agent.call("observe"))["result"]
        assert seen["structuredContent"]["question"].startswith("riddle ")
        assert (
            seen["content"][0]["text"]
            == (await agent.ask("resources/read", {"uri": "episode://observation"}))["result"]["contents"][0]["text"]
        )
        acted = (await agent.call("act", {"word": "hen"}))["result"]
        assert (await agent.call("observe"))["result"]["structuredContent"] == acted["structuredContent"]
        assert session.outcome().steps == 1
        assert "egg" not in str(seen)
        assert str(REWARD) not in str(acted)
        assert (await agent.call("think"))["error"]["message"] == "there is no tool 'think'; there are: act, observe"
        session.begin_close(Ending.CLOSED)
        await site.aclose()


async def test_who_subscribes_hears_of_what_others_do() -> None:
    async with living(app := create_app(Riddler)):
        site = Site(app, Riddler)  # type: ignore[arg-type]
        session = await site.session()
        agent = OlderSpeaker(site, "/mcp", session.agent_token())
        assert (await agent.initialize())["result"]["capabilities"]["resources"]["subscribe"]
        await agent.ask("resources/subscribe", {"uri": "episode://observation"})
        hearing = agent.listening()
        await hearing.until(lambda: hearing.is_stream)
        await session.call_tool("act", {"word": "hen"})
        await hearing.until(lambda: any("resources/updated" in one for one in hearing.said))
        hearing.hang_up()
        session.begin_close(Ending.CLOSED)
        await site.aclose()
