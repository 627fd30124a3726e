"""Calls of tools are steps, in whatever form they come and wherever the environment lives."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.session.tool_worlds import (
    ASKED,
    LIST,
    PATIENCE_S,
    PLACES,
    AwaitedTools,
    Hearing,
    Jump,
    Tools,
    call_of,
    error_of,
    fields,
    playing,
    serving,
    value_of,
)

from openenv.environment import Isolation
from openenv.errors import ActionInvalid, EpisodeDone, InputNeeded, ResetNeeded, SessionClosed
from openenv.protocol import Reset, Step
from openenv.session import Call, EnvironmentSpec, Phase, SessionEngine
from openenv.tools import CallCancelled, CallToolAction, CallToolObservation, ListToolsAction

in_every_place = pytest.mark.parametrize(("cls", "isolation"), PLACES)


@in_every_place
@pytest.mark.parametrize(
    "action",
    [
        call_of("add", by=2).action,
        {"type": "call_tool", "tool_name": "add", "arguments": {"by": 2}},
        CallToolAction(tool_name="add", arguments={"by": 2}),
    ],
    ids=["text", "value", "object"],
)
async def test_a_call_comes_in_any_form(cls: type[Tools], isolation: Isolation, action: Any) -> None:
    async with playing(cls, isolation) as session:
        answer = await session.step(Step(action=action))
        assert (value_of(answer), answer.reward, answer.done) == (2, 2.0, False)
        answer = await session.step(Step(action=action))
        assert (value_of(answer), answer.reward, answer.done, answer.terminated) == (4, 2.5, True, True)
        with pytest.raises(EpisodeDone):
            await session.step(Step(action=action))


@in_every_place
async def test_tools_are_listed_in_every_phase_and_nothing_counts(cls: type[Tools], isolation: Isolation) -> None:
    async with serving(cls, isolation) as engine:
        session = await engine.open()
        names = []
        for phase in (Phase.FRESH, Phase.RUNNING, Phase.DONE):
            if phase is Phase.RUNNING:
                await session.reset(Reset(seed=1))
            elif phase is Phase.DONE:
                await session.step(call_of("add", by=3))
            assert session.phase is phase
            before = session.outcome()
            for action in (LIST, {"type": "list_tools"}, ListToolsAction()):
                answer = await session.step(Step(action=action))
                names.append([one["name"] for one in fields(answer)["tools"]])
                assert (answer.reward, answer.done) == (None, False)
            assert (session.phase, session.outcome()) == (phase, before)
        assert all(one == names[0] and {"add", "speak", "hang", "ask"} <= {*one} for one in names)
        [add] = [one for one in fields(answer)["tools"] if one["name"] == "add"]
        assert add["description"] == "Add to the count."
        assert add["input_schema"]["properties"]["by"]["type"] == "integer"


async def test_the_environment_is_not_told_of_a_list_before_the_end_of_the_session() -> None:
    async with playing(Tools, "thread") as session:
        await session.close()
        with pytest.raises(SessionClosed):
            await session.step(Step(action=LIST))


@in_every_place
async def test_the_authors_own_actions_go_on(cls: type[Tools], isolation: Isolation) -> None:
    engine = SessionEngine(EnvironmentSpec.of(cls, Jump), isolation=isolation)
    await engine.start()
    session = await engine.open()
    await session.reset(Reset())
    assert (await session.step(Step(action={"by": 1}))).metadata == {"count": 1}
    assert value_of(await session.step(call_of("add"))) == 2
    with pytest.raises(ActionInvalid, match="invalid Jump: by"):
        await session.step(Step(action={"by": "far"}))
    with pytest.raises(ActionInvalid, match="invalid CallToolAction: tool_name"):
        await session.step(Step(action={"type": "call_tool", "arguments": {}}))
    assert len(fields(await session.step(Step(action=LIST)))["tools"]) >= 5
    await engine.aclose()


async def test_a_factory_that_does_not_say_what_it_makes_makes_tools_all_the_same() -> None:
    spec = EnvironmentSpec.of(lambda: Tools(), CallToolAction, CallToolObservation)  # noqa: PLW0108 - as authors write
    assert spec.plan is None
    engine = SessionEngine(spec)
    await engine.start()
    session = await engine.open()
    assert len(fields(await session.step(Step(action=LIST)))["tools"]) >= 5
    await session.reset(Reset())
    assert value_of(await session.step(Step(action={"tool_name": "add"}))) == 1
    await engine.aclose()


@in_every_place
async def test_what_the_model_does_wrong_is_a_step(cls: type[Tools], isolation: Isolation) -> None:
    async with playing(cls, isolation) as session:
        for name, arguments, expected in (
            ("nothing", {}, "tool_not_found"),
            ("add", {"by": "x"}, "invalid_args"),
            ("add", {"too": 1}, "invalid_args"),
        ):
            assert error_of(await session.call_tool(name, arguments)) == expected
        assert session.outcome().steps == 3
        assert value_of(await session.call_tool("add", {})) == 1


@in_every_place
async def test_a_tool_that_asks_has_not_been_called(cls: type[Tools], isolation: Isolation) -> None:
    async with playing(cls, isolation) as session:
        before = session.outcome()
        for _ in range(2):
            with pytest.raises(InputNeeded) as asked:
                await session.step(call_of("ask"))
        assert asked.value.details["requests"]["name"]["method"] == "elicitation/create"
        assert asked.value.details["missing_capabilities"] == {}
        with pytest.raises(InputNeeded) as asked:
            await session.call_tool("ask", {}, Call())
        assert asked.value.details["missing_capabilities"] == {"elicitation": {}}
        with pytest.raises(InputNeeded):
            await session.step(Step(action=call_of("ask").action, timeout_s=PATIENCE_S))
        assert (session.outcome(), session.phase) == (before, Phase.RUNNING)
        assert session.episode.history.is_whole
        assert len(session.episode.history.moves) == 1  # the reset
        inputs = {"name": {"action": "accept", "content": {"name": "Ada"}}}
        assert value_of(await session.call_tool("ask", {}, inputs=inputs, capabilities=ASKED)) == "hello Ada"
        assert session.outcome().steps == 1
        assert (await session.state()).state is not None
        assert len(session.episode.history.moves) == 2


async def test_a_tool_that_asks_before_an_episode_is_refused_as_ever() -> None:
    async with serving(Tools, "inline") as engine:
        session = await engine.open()
        with pytest.raises(ResetNeeded):
            await session.call_tool("ask", {})
        with pytest.raises(ResetNeeded):
            session.move_now(call_of("ask"))
        await session.reset(Reset())
        assert session.is_prompt
        with pytest.raises(InputNeeded):
            session.move_now(call_of("ask"))
        assert (session.phase, session.outcome().steps) == (Phase.RUNNING, 0)


# A call in the server's thread cannot be cancelled: while it runs nobody can ask for that.
can_be_cancelled = pytest.mark.parametrize(
    ("cls", "isolation", "name"),
    [
        *((cls, isolation, "hang") for cls, isolation in PLACES if (cls, isolation) != (Tools, "inline")),
        *((cls, isolation, "block") for cls, isolation in PLACES if cls is AwaitedTools and isolation != "inline"),
    ],
)


@can_be_cancelled
async def test_a_call_that_is_cancelled_ends_as_a_step(cls: type[Tools], isolation: Isolation, name: str) -> None:
    async with playing(cls, isolation) as session:
        hearing = Hearing()
        going = asyncio.create_task(session.call_tool(name, {}, hearing.call))
        await hearing.has_begun()
        session.cancel_call(hearing.call)
        async with asyncio.timeout(PATIENCE_S):
            answer = await going
        assert error_of(answer) == "cancelled"
        assert (session.outcome().steps, session.phase) == (1, Phase.RUNNING)
        assert not session.episode.history.is_whole  # played again, it would go on to its end
        session.cancel_call(hearing.call)  # it is over
        assert value_of(await session.call_tool("add", {}, Call())) == 2


@can_be_cancelled
async def test_a_call_whose_caller_goes_away_is_cancelled(cls: type[Tools], isolation: Isolation, name: str) -> None:
    async with playing(cls, isolation) as session:
        hearing = Hearing()
        going = asyncio.create_task(session.call_tool(name, {}, hearing.call))
        await hearing.has_begun()
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        async with asyncio.timeout(PATIENCE_S):
            assert value_of(await session.step(call_of("add"))) == 2
        assert session.outcome().steps == 2
        assert not session.episode.history.is_whole


@in_every_place
async def test_a_call_that_waits_for_its_turn_and_is_cancelled_never_runs(
    cls: type[Tools], isolation: Isolation
) -> None:
    async with playing(cls, isolation) as session:
        call = Call()
        session.take_turn()
        going = asyncio.create_task(session.call_tool("add", {}, call))
        await asyncio.sleep(0)
        session.cancel_call(call)
        session.end_turn()
        with pytest.raises(CallCancelled):
            await going
        assert session.outcome().steps == 0
        assert value_of(await session.call_tool("add", {})) == 1


@pytest.mark.parametrize(("cls", "isolation"), [(Tools, "process"), (AwaitedTools, "process")])
async def test_a_cancellation_that_comes_late_meets_no_later_call(cls: type[Tools], isolation: Isolation) -> None:
    async with playing(cls, isolation) as session:
        await session.call_tool("add", {}, Call())
        session.episode.host.cancel_call()  # its answer had come in the same moment
        hearing = Hearing()
        going = asyncio.create_task(session.call_tool("hang", {}, hearing.call))
        await hearing.has_begun()
        assert not going.done()
        session.cancel_call(hearing.call)
        assert error_of(await going) == "cancelled"


async def test_a_cancellation_in_the_servers_thread_meets_no_later_call() -> None:
    async with playing(Tools, "inline") as session:
        await session.call_tool("add", {}, Call())
        session.episode.host.cancel_call()
        assert value_of(session.move_now(call_of("add"))) == 2
        hearing = Hearing()
        assert value_of(await session.call_tool("speak", {"words": 1}, hearing.call)) == "spoken"
