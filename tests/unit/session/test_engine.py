"""How many sessions there may be: races for places, factories, trials, and ends on every path."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from tests.unit.session.worlds import (
    AsyncWorld,
    Ledger,
    Move,
    Seen,
    World,
    engine_of,
    factory_of,
    step_of,
    threads_left,
    world,
)

from openenv.errors import (
    CapacityReached,
    ConfigurationError,
    EpisodeLost,
    FactoryFailed,
    ServerDraining,
    SessionNotFound,
)
from openenv.protocol import Reset
from openenv.session import Ending, Session


async def waits(ledger: Ledger, what: str = "waiting", times: int = 1) -> None:
    await asyncio.to_thread(ledger.wait, what, times)


async def test_only_so_many_get_a_place_however_they_race() -> None:
    cls = world(on_make="wait")
    engine = engine_of(cls, 3)
    opens = [asyncio.create_task(engine.open()) for _ in range(10)]
    await waits(cls.ledger, times=3)
    assert engine.active == 3
    cls.ledger.gate.set()
    results = await asyncio.gather(*opens, return_exceptions=True)
    assert sum(isinstance(one, Session) for one in results) == 3
    refused = [one for one in results if isinstance(one, CapacityReached)]
    assert len(refused) == 7
    assert refused[0].details == {"active_sessions": 3, "max_sessions": 3, "retry_after_s": 1.0}
    assert cls.ledger.count("made") == 3
    await engine.aclose()
    assert engine.active == 0
    cls.ledger.check_closed_once()


async def test_a_failed_factory_frees_its_place() -> None:
    cls = world(on_make="raise")
    engine = engine_of(cls, 1)
    results = await asyncio.gather(*(engine.open() for _ in range(4)), return_exceptions=True)
    assert [type(one) for one in results] == [FactoryFailed, CapacityReached, CapacityReached, CapacityReached]
    assert engine.active == 0
    with pytest.raises(FactoryFailed):
        await engine.open()


async def test_a_place_is_free_when_close_has_returned_and_not_before() -> None:
    cls = world(on_close="wait")
    engine = engine_of(cls, 1)
    session = await engine.open()
    closing = asyncio.create_task(session.close())
    await waits(cls.ledger)
    with pytest.raises(CapacityReached):
        await engine.open(patient=False)
    closing.cancel()  # whoever asked for it went away; the environment is still closing
    await asyncio.gather(closing, return_exceptions=True)
    assert engine.active == 1
    with pytest.raises(CapacityReached):
        await engine.open(patient=False)
    cls.ledger.gate.set()
    await session.close()
    assert engine.active == 0
    assert cls.ledger.count("close") == 1
    with pytest.raises(EpisodeLost, match="its client closed it") as caught:
        engine.sessions.get(session.id)
    assert caught.value.details == {"reason": "closed"}
    with pytest.raises(SessionNotFound, match="never opened here"):
        engine.sessions.get("nobody")
    await (await engine.open()).close()
    assert not threads_left()


@pytest.mark.parametrize("base", [World, AsyncWorld])
@pytest.mark.parametrize("as_factory", [False, True])
async def test_who_is_cancelled_while_opening_leaves_nothing(base: type[World], as_factory: bool) -> None:
    cls = world(base, on_make="wait")
    engine = engine_of(factory_of(cls) if as_factory else cls)
    opening = asyncio.create_task(engine.open())
    await waits(cls.ledger)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    assert engine.active == 1  # the environment is still being built
    cls.ledger.gate.set()
    await waits(cls.ledger, "close", times=2 if as_factory and base is AsyncWorld else 1)  # by itself
    await engine.aclose()
    assert engine.active == 0
    assert cls.ledger.count("made") >= 1
    cls.ledger.check_closed_once()
    assert not threads_left()


async def test_stopping_ends_sessions_that_are_being_opened_and_refuses_others() -> None:
    cls = world(on_make="wait")
    engine = engine_of(cls)
    opening = asyncio.create_task(engine.open())
    await waits(cls.ledger)
    stopping = asyncio.create_task(engine.aclose())
    cls.ledger.gate.set()
    await stopping
    session = await opening
    with pytest.raises(EpisodeLost, match="the server was stopped"):
        await session.reset(Reset())
    with pytest.raises(ServerDraining, match="stopping"):
        await engine.open()
    cls.ledger.check_closed_once()


async def test_close_waits_for_the_running_step() -> None:
    cls = world()
    engine = engine_of(cls)
    session = await engine.open()
    await session.reset(Reset())
    step = asyncio.create_task(session.step(step_of("wait")))
    await waits(cls.ledger)
    closing = asyncio.create_task(session.close())
    await asyncio.sleep(0)
    assert cls.ledger.count("close") == 0
    cls.ledger.gate.set()
    assert (await step).observation.value == 1
    await closing
    assert [entry[0] for entry in cls.ledger.entries][-3:] == ["step", "waiting", "close"]


async def test_a_step_whose_caller_went_away_is_not_overtaken_by_close() -> None:
    cls = world()
    engine = engine_of(cls)
    session = await engine.open()
    await session.reset(Reset())
    step = asyncio.create_task(session.step(step_of("wait")))
    await waits(cls.ledger)
    step.cancel()
    closing = asyncio.create_task(session.close())
    await asyncio.gather(step, return_exceptions=True)
    assert cls.ledger.count("close") == 0
    cls.ledger.gate.set()
    await closing
    cls.ledger.check_closed_once()


# Factories ---------------------------------------------------------------------------------------


async def test_the_first_session_of_a_factory_tells_how_many_there_may_be() -> None:
    cls = world()
    engine = engine_of(factory_of(cls))
    assert engine.capacity == 1
    assert not engine.is_known
    sessions = await asyncio.gather(*(engine.open() for _ in range(8)))
    assert engine.capacity == 64
    assert len({session.id for session in sessions}) == 8
    await engine.aclose()
    cls.ledger.check_closed_once()


async def test_a_factory_of_a_class_for_one_session_makes_one() -> None:
    cls = world(SUPPORTS_CONCURRENT_SESSIONS=False)
    engine = engine_of(factory_of(cls))
    results = await asyncio.gather(*(engine.open() for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(one, Session) for one in results) == 1
    assert cls.ledger.count("made") == 1
    await engine.aclose()


async def test_an_asynchronous_factory_is_found_out() -> None:
    cls = world(AsyncWorld)
    engine = engine_of(factory_of(cls))
    sessions = [await engine.open() for _ in range(2)]
    for session in sessions:
        await session.reset(Reset())
        assert (await session.step(step_of())).observation.value == 1
    assert cls.ledger.count("made") == 3  # the first one was built without an event loop, and closed
    assert cls.ledger.count("close") == 1
    await engine.aclose()
    cls.ledger.check_closed_once()
    assert not threads_left()


async def test_a_factory_may_need_a_running_loop() -> None:
    class Looping(AsyncWorld):
        def __init__(self) -> None:
            self.loop = asyncio.get_running_loop()
            super().__init__()

        async def step_async(self, action: Move) -> Seen:
            return Seen(value=self.loop is asyncio.get_running_loop())

    cls = world(Looping)
    engine = engine_of(factory_of(cls))
    for _ in range(2):
        session = await engine.open()
        await session.reset(Reset())
        assert (await session.step(step_of())).observation.value is True
    assert cls.ledger.count("made") == 2
    await engine.aclose()
    cls.ledger.check_closed_once()


async def test_a_factory_must_give_an_environment() -> None:
    engine = engine_of(lambda: {"no": "environment"})
    with pytest.raises(FactoryFailed, match="returned a dict, which is no Environment"):
        await engine.open()
    assert not threads_left()


@pytest.mark.parametrize("capacity", [0, -1])
def test_there_is_a_place_at_least(capacity: int) -> None:
    with pytest.raises(ConfigurationError, match="1 or more"):
        engine_of(world(), capacity)


def test_a_class_for_one_session_is_served_to_several_in_processes_alone() -> None:
    cls = world(SUPPORTS_CONCURRENT_SESSIONS=False)
    assert engine_of(cls).capacity == 1
    assert [engine_of(cls, capacity).is_isolated for capacity in (1, 2)] == [False, True]
    engine = engine_of(cls, 1)
    engine.isolate("thread")
    with pytest.raises(ConfigurationError, match="SUPPORTS_CONCURRENT_SESSIONS = True"):
        engine.resize(2)
    assert engine.capacity == 1
    engine.isolate("process")
    engine.resize(2)
    assert (engine.capacity, engine.is_isolated) == (2, True)


async def test_where_no_process_can_import_it_a_start_says_so() -> None:
    engine = engine_of(world(SUPPORTS_CONCURRENT_SESSIONS=False), 2)  # a class that was made in a function
    with pytest.raises(ConfigurationError, match="cannot run in worker processes"):
        await engine.start()
    await engine.aclose()


async def test_a_factory_for_one_session_is_not_served_to_two_where_no_process_can_import_it() -> None:
    cls = world(SUPPORTS_CONCURRENT_SESSIONS=False)
    engine = engine_of(factory_of(cls), 2)
    with pytest.raises(ConfigurationError, match="cannot run in worker processes"):
        await engine.open()
    assert engine.active == 0
    cls.ledger.check_closed_once()
    assert not threads_left()


# Trials ------------------------------------------------------------------------------------------


async def test_a_check_builds_one_environment_once() -> None:
    cls = world(SUPPORTS_CONCURRENT_SESSIONS=False)
    engine = engine_of(cls)
    found = await asyncio.gather(*(engine.check() for _ in range(5)))
    assert {one.name for one in found} == {"World"}
    assert cls.ledger.count("made") == 1
    await engine.check()
    assert cls.ledger.count("made") == 1
    cls.ledger.check_closed_once()
    assert not threads_left()


async def test_a_check_says_why_and_tries_again() -> None:
    cls = world(on_make="raise")
    engine = engine_of(cls)
    for times in (1, 2):
        with pytest.raises(FactoryFailed, match="RuntimeError: boom"):
            await engine.check()
        assert cls.ledger.count("making") == times
    cls.on_make = "ok"
    assert (await engine.check()).name == "World"


async def test_a_check_survives_a_close_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    engine = engine_of(world(on_close="raise"))
    with caplog.at_level(logging.ERROR, "openenv.session"):
        assert (await engine.check()).name == "World"
    assert "closing an environment of world failed" in caplog.text


@pytest.mark.parametrize("first", ["check", "open", "uncounted"])
async def test_a_check_never_makes_a_second_instance(first: str) -> None:
    cls = world(SUPPORTS_CONCURRENT_SESSIONS=False, on_make="wait")
    engine = engine_of(cls)
    check = engine.check
    opens = {"check": check, "open": engine.open, "uncounted": lambda: engine.open(counted=False)}
    running = [asyncio.create_task(opens[first]())]
    await waits(cls.ledger)
    running.append(asyncio.create_task(check()))
    running.append(asyncio.create_task(engine.open(counted=first == "uncounted")))
    cls.ledger.gate.set()
    if first == "uncounted":  # two sessions side by side are what it was asked for here
        await asyncio.gather(*running)
    else:
        await asyncio.gather(*running, return_exceptions=True)
    await engine.aclose()
    assert cls.ledger.count("made") == 2
    cls.ledger.check_closed_once()


@pytest.mark.parametrize("answer", [None, {"name": "dict"}, RuntimeError("boom"), SystemExit(2)])
async def test_odd_metadata_does_not_stop_the_server(answer: Any) -> None:
    def get_metadata(self: World) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    engine = engine_of(world(get_metadata=get_metadata))
    assert (await engine.check()).name == "world"
    await (await engine.open()).close()


async def test_ending_logs_what_closing_raised(caplog: pytest.LogCaptureFixture) -> None:
    engine = engine_of(world(on_close="exit"))
    session = await engine.open()
    with caplog.at_level(logging.ERROR, "openenv.session"):
        await engine.endings.end(session, Ending.IDLE)
    assert "SystemExit: 3" in caplog.text
    with pytest.raises(EpisodeLost) as caught:
        engine.sessions.get(session.id)
    assert caught.value.details == {"reason": "idle"}
