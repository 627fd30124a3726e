"""Moves that are answered at once, in the server's thread: whatever the environment or the journal does."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest
from tests.unit.record.journals import Writes
from tests.unit.server.carried import Carried
from tests.unit.session.worlds import Seen, World, step_of, world

from openenv.errors import RecordError
from openenv.protocol import Failed, Observed, Reply, Reset
from openenv.record import Answered, Journal
from openenv.session import JournalOptions


class Awaited(World):
    """Its methods are no coroutine functions, but return what has to be awaited."""

    def reset(self, seed: int | None = None, episode_id: str | None = None, how: str = "ok") -> Any:
        return self._later() if how == "await" else super().reset(seed, episode_id, how)

    def step(self, action: Any, bonus: int = 0) -> Any:
        return self._later() if action.how == "await" else super().step(action, bonus)

    async def _later(self) -> Seen:
        return Seen()


def code(reply: Reply) -> str:
    assert isinstance(reply, Failed), reply
    return reply.code


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize(
    ("how", "expected", "says"),
    [
        ("await", "OBSERVATION_INVALID", "name it step_async"),
        ("exit", "EXECUTION_ERROR", "SystemExit: 3"),
        ("cancelled", "EXECUTION_ERROR", "CancelledError"),
        ("interrupt", "EXECUTION_ERROR", "KeyboardInterrupt"),
        ("stop", "EXECUTION_ERROR", "StopIteration"),
        ("raise", "EXECUTION_ERROR", "RuntimeError: boom"),
        ("nan", "REWARD_INVALID", "a reward is a finite number"),
        ("object", "OBSERVATION_INVALID", ""),
    ],
)
async def test_whatever_the_environment_does_is_an_answer(how: str, expected: str, says: str, array: bool) -> None:
    cls = world(Awaited, isolation="inline")
    async with Carried(cls) as carried:
        wire = carried.connect()
        (name,) = await wire.open(1)
        steps = [step_of(how, session=name, id=2), step_of("ok", session=name, id=3)]
        found = await wire.ask(*steps) if array else [(await wire.ask(one, array=False))[0] for one in steps]
        assert (code(found[0]), found[0].id, found[0].session) == (expected, 2, name)
        assert says in found[0].message  # type: ignore[union-attr]
        assert isinstance(found[1], Observed)
        again = await wire.ask(steps[0], array=False)
        assert again == found[:1]
        asyncio.get_running_loop()  # it was hidden from the environment, and is there again


@pytest.mark.parametrize("isolation", ["thread", "inline"])
async def test_what_would_have_to_be_awaited_is_no_observation(isolation: str) -> None:
    async with Carried(world(Awaited, isolation=isolation)) as carried:
        wire = carried.connect()
        (name,) = await wire.open(1)
        (stepped,) = await wire.ask(step_of("await", session=name, id=2, options={"bonus": 1}))
        (reset,) = await wire.ask(Reset(session=name, id=3, options={"how": "await"}))
        for found, operation in (stepped, "step"), (reset, "reset"):
            assert code(found) == "OBSERVATION_INVALID"
            assert f"name it {operation}_async" in found.message  # type: ignore[union-attr]


async def test_of_many_steps_the_journal_is_written_once_and_has_each(tmp_path: Path) -> None:
    cls = world(isolation="inline", deterministic=True)
    async with Carried(cls, journal=JournalOptions(tmp_path)) as carried:
        wire = carried.connect()
        names = await wire.open(8)
        writes = carried.write = Writes()
        steps = [step_of(session=name, id=number) for number in (2, 3, 4) for name in names]
        found = await wire.ask(*steps, Reset(session=names[0], id=5))
        assert len(writes.calls) == 1
        kept = [entry for _, entry in Journal.scan(tmp_path) if isinstance(entry, Answered)]
        assert [(entry.session, entry.id) for entry in kept[8:]] == [(one.session, one.id) for one in found]
        for one in steps[:3]:
            await wire.ask(one)
        assert len(writes.calls) == 1  # nothing ran again
        for one in steps[:2]:
            await wire.ask(step_of(session=one.session, id=9), array=False)
        assert len(writes.calls) == 3


@pytest.mark.parametrize("array", [False, True])
async def test_what_the_journal_did_not_take_is_no_answer(tmp_path: Path, array: bool) -> None:
    cls = world(isolation="inline", deterministic=True)
    async with Carried(cls, journal=JournalOptions(tmp_path), breaks=RecordError) as carried:
        wire = carried.connect()
        names = await wire.open(2)

        def full(descriptor: int, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "no space")

        carried.write = full
        for number, runs in (2, 1), (3, 1):
            steps = [step_of(session=name, id=number) for name in names]
            for _ in range(2):  # asked again, too
                found = await wire.ask(*steps) if array else [(await wire.ask(one, array=False))[0] for one in steps]
                assert [code(one) for one in found] == ["RECORD_ERROR"] * 2
            # the first ran before the journal failed; after that nothing is begun
            assert cls.ledger.count("step") == runs * (2 if array else 1)
