"""A server that is started again on its journal: the same nonce stays the same session."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.unit.session.worlds import Move, Seen, step_of, world

from openenv.errors import EpisodeLost, ServerDraining
from openenv.protocol import Reset
from openenv.session import EnvironmentSpec, JournalOptions, Openings, Session, SessionEngine


async def started(directory: Path, cls: type) -> tuple[SessionEngine, Openings]:
    spec = EnvironmentSpec.of(cls, Move, Seen, "world")
    engine = SessionEngine(spec, 4, journal=JournalOptions(directory))
    await engine.start()

    async def no_room_is_needed() -> None:
        pass

    return engine, Openings(engine, no_room_is_needed)


async def opened(openings: Openings, nonce: str = "a secret") -> Session:
    return await openings.open(nonce, 0.0, lambda _: None)


async def test_an_open_that_is_sent_again_after_a_restart_gets_its_session_each_time(tmp_path: Path) -> None:
    cls = world(deterministic=True)
    engine, openings = await started(tmp_path, cls)
    before = await opened(openings)
    await before.reset(Reset(seed=3))
    await before.step(step_of())
    await engine.aclose()

    engine, openings = await started(tmp_path, cls)
    first, again = await opened(openings), await opened(openings)
    assert first is again
    assert (first.id, first.token) == (before.id, before.token)
    assert engine.active == 1
    await engine.aclose()


async def test_an_open_that_comes_late_after_a_resume_opens_nothing_else(tmp_path: Path) -> None:
    cls = world(deterministic=True)
    engine, openings = await started(tmp_path, cls)
    before = await opened(openings)
    await before.reset(Reset(seed=3))
    await engine.aclose()

    engine, openings = await started(tmp_path, cls)
    resumed = await engine.recovery.find(before.id, before.token)
    late = await opened(openings)
    assert late is resumed
    assert late.token == before.token
    assert engine.active == 1
    await engine.aclose()


async def test_why_a_session_was_lost_is_known_to_the_next_server(tmp_path: Path) -> None:
    cls = world()  # which promises nothing, so that it cannot be played again
    engine, openings = await started(tmp_path, cls)
    lost = await opened(openings)
    await lost.reset(Reset(seed=3))
    await engine.aclose()
    engine, _ = await started(tmp_path, cls)
    with pytest.raises(EpisodeLost) as gone:
        await engine.recovery.find(lost.id, lost.token)
    assert gone.value.details["reason"] == "server_stopped"
    await engine.aclose()


async def test_a_session_that_comes_back_while_the_server_stops_is_closed_and_kept(tmp_path: Path) -> None:
    cls = world(deterministic=True)
    engine, openings = await started(tmp_path, cls)
    before = [await opened(openings, nonce) for nonce in ("first", "second")]
    for session in before:
        await session.reset(Reset(seed=3))
    await engine.aclose()

    engine, _ = await started(tmp_path, cls)
    cls.on_make = "wait"
    waking = asyncio.create_task(engine.recovery.find(before[0].id))
    await asyncio.to_thread(cls.ledger.wait, "waiting")
    draining = asyncio.create_task(engine.aclose())
    await asyncio.sleep(0)
    with pytest.raises(ServerDraining):
        await engine.recovery.find(before[1].id)
    cls.ledger.gate.set()
    await asyncio.wait({waking, draining})
    assert cls.ledger.count("made") == cls.ledger.count("close") == 3

    cls.on_make = "ok"
    engine, _ = await started(tmp_path, cls)
    assert [(await engine.recovery.find(one.id)).id for one in before] == [one.id for one in before]
    await engine.aclose()
