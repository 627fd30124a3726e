"""What a call says while it runs comes to who made it, in order, before its answer; changes come to all who watch."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from tests.unit.session.test_tool_calls import in_every_place
from tests.unit.session.tool_worlds import Hearing, Plain, Tools, call_of, playing, value_of

from openenv.environment import Isolation
from openenv.errors import ActionInvalid
from openenv.protocol import Observed, Reset, Step
from openenv.session import Call, Moved
from openenv.session.hosting.notes import MOST_NOTES, NoteWay
from openenv.tools import Changed, Logged, Progressed


@in_every_place
@pytest.mark.parametrize("name", ["speak", "speak_elsewhere"])
async def test_notes_come_in_order_and_before_the_answer(cls: type[Tools], isolation: Isolation, name: str) -> None:
    async with playing(cls, isolation) as session:
        for words in (0, 3, 200):
            hearing = Hearing()
            assert value_of(await session.call_tool(name, {"words": words}, hearing.call)) == "spoken"
            assert hearing.notes == [
                *(Progressed(float(number + 1), float(words)) for number in range(words)),
                Logged({"said": words}),
                Changed("tools"),
            ]


@in_every_place
async def test_only_changes_come_to_those_who_watch(cls: type[Tools], isolation: Isolation) -> None:
    async with playing(cls, isolation) as session:
        news: list[Any] = []
        stop = session.watch(news.append)
        await session.step(call_of("speak", words=2))
        hearing = Hearing()
        await session.call_tool("add", {}, hearing.call)
        assert hearing.notes == []
        first, second, third = news
        assert first == Changed("tools")
        assert [(one.index, one.episode == session.outcome().episode_id) for one in (second, third)] == [
            (1, True),
            (2, True),
        ]
        stop()
        stop()
        await session.step(call_of("speak", words=2))
        assert len(news) == 3


async def test_changes_of_steps_that_are_answered_at_once_come_too() -> None:
    async with playing(Tools, "inline") as session:
        news: list[Any] = []
        session.watch(news.append)
        session.move_now(call_of("speak", words=1))
        await asyncio.sleep(0)
        assert [type(one) for one in news] == [Moved, Changed]


@in_every_place
async def test_nobody_hears_of_a_call_that_was_given_up(cls: type[Tools], isolation: Isolation) -> None:
    async with playing(cls, isolation) as session:
        hearing = Hearing()

        def given_up(note: Any) -> None:
            hearing.notes.append(note)
            hearing.call.is_cancelled = True

        hearing.call.listener = given_up
        await session.call_tool("speak", {"words": 5}, hearing.call)
        assert len(hearing.notes) == 1


@in_every_place
async def test_who_listens_and_raises_changes_nothing(cls: type[Tools], isolation: Isolation) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("boom")

    async with playing(cls, isolation) as session:
        session.watch(broken)
        news: list[Any] = []
        session.watch(news.append)
        assert value_of(await session.call_tool("speak", {"words": 2}, Call(broken))) == "spoken"
        assert [type(one) for one in news] == [Changed, Moved]


@pytest.mark.parametrize("isolation", ["thread", "inline", "process"])
async def test_every_move_of_any_environment_is_told(isolation: Isolation) -> None:
    async with playing(Plain, isolation) as session:
        news: list[Any] = []
        session.watch(news.append)
        await session.reset(Reset(seed=7, episode_id="E"))
        await session.step(Step(action={"by": 1}))
        with pytest.raises(ActionInvalid):
            await session.step(Step(action={"by": "x"}))
        with pytest.raises(Exception, match="too far"):
            await session.step(Step(action={"by": 101}))
        if session.is_prompt:
            session.move_now(Step(action={"by": 1}))
            with pytest.raises(Exception, match="too far"):
                session.move_now(Step(action={"by": 101}))
        assert [(one.episode, one.index) for one in news] == [("E", index) for index in range(len(news))]
        assert [type(one.answer).__name__ for one in news][:3] == ["Observed", "Observed", "ExecutionFailed"]
        assert len(news) == (5 if isolation == "inline" else 3)
        assert isinstance(news[0].request, Reset)
        assert news[0].request.seed == 7
        assert isinstance(news[1].answer, Observed)
        assert news[1].answer.reward == 0.5
        assert all(one.at > 0 and one.duration_s >= 0 for one in news)


async def test_notes_that_nobody_takes_in_are_lost_beyond_a_bound() -> None:
    heard: list[Any] = []
    way = NoteWay()
    way.sink = heard.append

    def flood() -> None:
        for number in range(MOST_NOTES + 100):
            way(Logged(number))

    flooding = threading.Thread(target=flood)
    flooding.start()
    flooding.join()  # the loop takes nothing in meanwhile
    await asyncio.sleep(0)
    assert [note.data for note in heard] == [*range(MOST_NOTES)]
    way(Logged("again"))
    assert heard[-1].data == "again"


async def test_an_environment_in_the_servers_thread_cannot_flood_it_either() -> None:
    async with playing(Tools, "inline") as session:
        hearing = Hearing()
        await session.call_tool("speak", {"words": MOST_NOTES + 100}, hearing.call)
        assert len(hearing.notes) == MOST_NOTES
