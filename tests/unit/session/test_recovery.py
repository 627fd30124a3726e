"""A server that is started again on its journal: the same nonce stays the same session."""

from __future__ import annotations

from pathlib import Path

from tests.unit.session.worlds import Move, Seen, step_of, world

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
