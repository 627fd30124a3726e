"""Of tool environments that are stepped together, lists and calls that have a deadline go alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from msgspec import structs
from tests.unit.session.tool_worlds import LIST, Limited, Tools, call_of, serving

from openenv.protocol import Request, Reset, Step
from openenv.session.together import groups_of


class _Together(Tools):
    @classmethod
    def step_batch(cls, environments: Sequence[Self], actions: Sequence[Any]) -> list[Any]:
        return [one.step(action) for one, action in zip(environments, actions, strict=True)]


class Batched(_Together):
    """Counts, together with others."""


class BatchedLimited(_Together, Limited):
    """The same with a tool that may take a moment only."""


async def grouped(cls: type[Tools]) -> list[list[str]]:
    """What of a call, a list and another call is asked together, and what is left; by the sessions' places."""
    async with serving(cls, "thread") as engine:
        sessions = {str(place): await engine.open() for place in range(3)}
        for session in sessions.values():
            await session.reset(Reset())
        actions = [call_of("add").action, LIST, call_of("add").action]
        requests: list[Request] = [Step(action=one, session=str(place)) for place, one in enumerate(actions)]
        groups, left = groups_of(sessions, [structs.replace(one) for one in requests])
        for group in groups:
            for session, _ in group:
                session.end_turn()
        return [[one.session for group in groups for _, one in group], [one.session for one in left]]


async def test_a_list_is_left_out() -> None:
    assert await grouped(Batched) == [["0", "2"], ["1"]]


async def test_where_a_tool_may_have_to_be_ended_each_goes_alone() -> None:
    assert await grouped(BatchedLimited) == [[], ["0", "1", "2"]]
