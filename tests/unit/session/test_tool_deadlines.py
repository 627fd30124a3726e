"""A tool that may take so long and is not awaited is ended as a step is whose time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.unit.session.tool_worlds import PATIENCE_S, AwaitedTools, Limited, call_of, playing, value_of

from openenv.environment import Isolation
from openenv.errors import StepTimeout
from openenv.protocol import Reset, Step
from openenv.session import Call, Phase
from openenv.tools import tool


@pytest.fixture(autouse=True)
def _gate() -> Iterator[None]:
    Limited.gate.clear()
    yield
    Limited.gate.set()


@pytest.mark.parametrize(("isolation", "usable"), [("thread", False), ("inline", False), ("process", True)])
@pytest.mark.parametrize("is_call", [True, False])
async def test_a_tool_that_takes_too_long(isolation: Isolation, usable: bool, is_call: bool) -> None:
    async with playing(Limited, isolation) as session:
        assert not session.is_prompt
        await session.step(call_of("add"))
        with pytest.raises(StepTimeout, match=r"within 0\.2 s") as late:
            await (session.call_tool("wait", {}, Call()) if is_call else session.step(call_of("wait")))
        assert late.value.details["usable"] is usable
        Limited.gate.set()
        if usable:
            assert value_of(await session.call_tool("add", {})) == 2
            assert session.outcome().steps == 2
        else:
            assert session.phase is Phase.LOST
            await session.reset(Reset())
        assert value_of(await session.call_tool("wait", {"long": False})) == "waited"


async def test_less_time_may_be_asked_for_and_not_more() -> None:
    async with playing(Limited, "thread") as session:
        for timeout_s in (None, PATIENCE_S, 0.1):
            await session.step(Step(action=call_of("wait", long=False).action, timeout_s=timeout_s))
        await session.step(call_of("add"))
        asked = [moved.timeout_s for moved in session.episode.history.moves if isinstance(moved, Step)]
        assert asked == [0.2, 0.2, 0.1, None]


class Gambling(AwaitedTools):
    @tool
    async def gamble(self) -> str:
        """Win and end it all, but for one thing that never comes."""
        self.end(reward=100.0)
        await asyncio.get_running_loop().create_future()
        return "won"


@pytest.mark.parametrize("isolation", ["thread", "inline"])
async def test_what_a_call_that_was_cut_had_won_is_not_the_next_ones(isolation: Isolation) -> None:
    async with playing(Gambling, isolation) as session:
        with pytest.raises(StepTimeout) as late:
            await session.step(Step(action=call_of("gamble").action, timeout_s=0.1))
        assert late.value.details["usable"]
        answer = await session.step(call_of("add"))
        assert (answer.reward, answer.done) == (1.0, False)
        assert (await session.state()).state.step_count == session.outcome().steps == 1
