"""What agents are offered besides calls, by environments with tools and by those without."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.session.test_tool_calls import in_every_place
from tests.unit.session.tool_worlds import Plain, Tools, call_of, error_of, fields, playing, serving, value_of

from openenv.environment import Environment, Isolation
from openenv.errors import (
    ActionInvalid,
    EpisodeDone,
    ExecutionFailed,
    InputNeeded,
    InvalidRequest,
    ResetNeeded,
    SessionClosed,
)
from openenv.protocol import Reset, Step
from openenv.session import Call, Phase
from openenv.types import Action, Observation, State

in_each_place = pytest.mark.parametrize("isolation", ["thread", "inline", "process"])


@in_every_place
async def test_offers_come_in_every_phase_and_move_nothing(cls: type[Tools], isolation: Isolation) -> None:
    async with serving(cls, isolation) as engine:
        session = await engine.open()
        for phase in (Phase.FRESH, Phase.RUNNING, Phase.DONE):
            if phase is Phase.RUNNING:
                await session.reset(Reset(seed=1))
            elif phase is Phase.DONE:
                await session.step(call_of("add", by=3))
            before = session.outcome()
            listed = await session.offer("tools/list", {})
            assert {"add", "ask"} <= {one["name"] for one in listed["tools"]}
            about = await session.offer("about", {})
            task = "" if phase is Phase.FRESH else "\n\ncount"
            assert about["instructions"] == f"Count up to three.{task}"
            assert about["capabilities"]["resources"] is True
            assert (session.phase, session.outcome()) == (phase, before)
        read = await session.offer("resources/read", {"uri": "note://count"})
        assert read["contents"][0]["text"] == "3"
        await session.close()
        with pytest.raises(SessionClosed):
            await session.offer("about", {})


@in_every_place
async def test_what_is_wrong_with_an_offer_keeps_its_class(cls: type[Tools], isolation: Isolation) -> None:
    async with playing(cls, isolation) as session:
        with pytest.raises(InvalidRequest):
            await session.offer("resources/read", {"uri": "note://nothing"})
        with pytest.raises(InvalidRequest):
            await session.offer("nonsense", {})
        with pytest.raises(InputNeeded) as asked:
            await session.offer("prompts/get", {"name": "greet", "capabilities": {"elicitation": {}}})
        assert asked.value.details["requests"]["name"]["method"] == "elicitation/create"
        with pytest.raises(ExecutionFailed, match="boom"):
            await session.offer("resources/read", {"uri": "note://broken"})
        assert session.phase is Phase.RUNNING
        assert session.episode.history.is_whole


@in_each_place
async def test_an_environment_without_tools_offers_its_action(isolation: Isolation) -> None:
    async with serving(Plain, isolation) as engine:
        session = await engine.open()
        tool, other = (await session.offer("tools/list", {}))["tools"]
        assert (tool["name"], other["name"]) == ("act", "observe")
        assert {*tool["inputSchema"]["properties"]} == {"by"}
        about = await session.offer("about", {})
        assert about["instructions"].startswith("Jumps.\n\nCall `observe`")
        assert await session.offer("prompts/list", {}) == {"prompts": []}
        with pytest.raises(InvalidRequest):
            await session.offer("resources/read", {"uri": "x"})
        with pytest.raises(ResetNeeded):
            await session.call_tool("act", {"by": 1})
        await session.reset(Reset(seed=1))
        answer = await session.call_tool("act", {"by": 2}, Call())
        assert fields(answer)["result"]["structured_content"] == {"at": 2}
        assert fields(answer)["result"]["content"] == [{"type": "text", "text": '{"at":2}'}]
        assert (answer.reward, answer.done) == (0.5, False)
        assert "secret" not in repr(answer)
        assert (session.outcome().steps, session.outcome().total_reward) == (1, 0.5)
        done = await session.call_tool("act", {"by": 1})
        assert (value_of(done), done.done) == ({"at": 3}, True)
        with pytest.raises(EpisodeDone):
            await session.call_tool("act", {"by": 1})


@in_each_place
async def test_an_agent_sees_what_was_observed_last(isolation: Isolation) -> None:
    """What a reset tells is for whoever acts: cards, a question, a board."""
    where = {"uri": "episode://observation"}
    async with serving(Plain, isolation) as engine:
        session = await engine.open()
        assert [one["uri"] for one in (await session.offer("resources/list", {}))["resources"]] == [where["uri"]]
        early = await session.call_tool("observe", {})
        assert fields(early)["result"]["content"][0]["text"].startswith("There is no observation yet")
        await session.reset(Reset(seed=1))
        assert value_of(await session.call_tool("observe", {})) == {"at": 0}
        await session.call_tool("act", {"by": 2})
        seen = await session.call_tool("observe", {}, Call())
        assert value_of(seen) == {"at": 2}
        assert "secret" not in repr(seen)
        assert (seen.reward, seen.done) == (None, False)
        [told] = (await session.offer("resources/read", where))["contents"]
        assert (told["uri"], told["text"]) == (where["uri"], '{"at":2}')
        assert session.outcome().steps == 1
        with pytest.raises(ExecutionFailed):
            await session.call_tool("act", {"by": 101})
        assert value_of(await session.call_tool("observe", {})) == {"at": 2}
        await session.call_tool("act", {"by": 1})
        assert value_of(await session.call_tool("observe", {})) == {"at": 3}  # also when it is over
        late = Call(ordinal=session.episode.tally.ordinal)
        await session.reset(Reset(seed=2))
        assert value_of(await session.call_tool("observe", {})) == {"at": 0}
        with pytest.raises(EpisodeDone):  # an agent of one episode sees nothing of the next
            await session.call_tool("observe", {}, late)


@in_each_place
async def test_what_is_no_action_is_told_and_is_no_step(isolation: Isolation) -> None:
    async with playing(Plain, isolation) as session:
        wrong = await session.call_tool("act", {"by": "far"})
        assert error_of(wrong) == "invalid_args"
        assert "by" in fields(wrong)["error"]["message"]
        assert error_of(await session.call_tool("fly", {})) == "tool_not_found"
        assert error_of(await session.call_tool("act", {"by": object()})) == "invalid_args"
        assert session.outcome().steps == 0
        with pytest.raises(ExecutionFailed, match="too far"):
            await session.call_tool("act", {"by": 101})
        assert session.episode.history.is_whole


async def test_a_plain_environment_takes_no_list_of_tools() -> None:
    async with playing(Plain, "inline") as session:
        with pytest.raises(ActionInvalid, match="invalid Jump: type"):  # to it, an action like any other
            await session.step(Step(action={"type": "list_tools"}))


class Odd(Observation):
    what: Any = None


class OddPlain(Environment[Action, Odd, State]):
    """Its observation has no JSON form."""

    def reset(self) -> Odd:
        return Odd()

    def step(self, action: Action) -> Odd:
        return Odd(what={"fine": 1, "not": object()})

    @property
    def state(self) -> State:
        return State()


async def test_of_an_observation_without_a_form_its_rest_is_told() -> None:
    async with playing(OddPlain, "thread") as session:
        told = fields(await session.call_tool("act", {}))["result"]["structured_content"]["what"]
        assert told["fine"] == 1
        assert "object" in told["not"]
