"""The line between a worker and the desk: no place is lost on it, whoever gives up when."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.unit.session.still import settled

from openenv.errors import CapacityReached, FactoryFailed, ServerDraining
from openenv.fleet.counter import Counter
from openenv.fleet.desk import Desk
from openenv.fleet.desk_line import DeskLine
from openenv.fleet.messages import Here, News


class Leases:
    def __init__(self) -> None:
        self.detached_s: float | None = None

    def reclaimable_for_s(self) -> float | None:
        return self.detached_s


class Engine:
    """What a worker's engine tells the desk."""

    def __init__(self) -> None:
        self.limit, self.is_known, self.is_concurrent = 2, True, True
        self.stuck, self.failure = 0, None
        self.coming_back = 0
        self.leases = Leases()
        self.reclaimed: list[int] = []

    def reclaim(self, wanted: int) -> None:
        self.reclaimed.append(wanted)


@dataclass
class Office:
    """A desk with two workers, all in this process."""

    desk: Desk
    lines: list[DeskLine]
    engines: list[Engine]
    counters: list[Counter]

    @property
    def counts(self) -> tuple[int, int, list[int]]:
        census = self.desk.census()
        return census.active, census.waiting, [one.active for one in census.workers]


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    loop = asyncio.get_running_loop()
    made = Office(Desk(2), [], [], [])
    for number in range(2):
        engine: Any = Engine()
        line, counter = DeskLine(engine), Counter(made.desk, number, 100 + number, lambda: None)
        ours, theirs = socket.socketpair()
        for end, sock in ((counter.line, ours), (line.line, theirs)):
            await loop.create_unix_connection(lambda end=end: end, sock=sock)  # type: ignore[misc]
        line.keep(number)  # from its journal
        line.join([b"kept"] if number else [])
        await asyncio.wait_for(counter.has_joined.wait(), 10)
        made.lines.append(line)
        made.engines.append(engine)
        made.counters.append(counter)
    yield made
    for line in made.lines:
        line.line.close()
    await settled()


async def claim(line: DeskLine, wait_s: float = 0.0, patience_s: float = 0.0) -> list[int]:
    positions: list[int] = []
    await line.claim(wait_s, positions.append, patience_s)
    return positions


async def test_places_are_those_of_all_workers(office: Office) -> None:
    first, second = office.lines
    assert await first.place(b"kept") == 1
    assert office.counts == (1, 0, [0, 1])
    await claim(first)
    with pytest.raises(CapacityReached) as full:
        await claim(second)
    assert full.value.details["max_sessions"] == second.capacity == 2
    census = await second.census()
    assert (census.active, census.capacity, census.waiting) == (2, 2, 0)
    assert [(one["worker"], one["pid"], one["active"]) for one in census.processes] == [(0, 100, 1), (1, 101, 1)]
    waiting = asyncio.create_task(claim(second, 600.0))
    await settled()
    assert office.counts == (2, 1, [1, 1])
    first.give_back()
    assert await waiting == [1]
    assert office.counts == (2, 0, [0, 2])
    assert (first.taken, second.taken) == (0, 2)


async def test_the_places_of_a_worker_that_ends_are_kept_for_the_next_one(office: Office) -> None:
    first, second = office.lines
    await claim(first)
    waiting = asyncio.create_task(claim(second, 600.0))
    await settled()
    first.leave()
    first.give_back()  # its session is only suspended
    await settled()
    assert office.counts == (2, 1, [1, 1])
    assert not waiting.done()
    office.desk.joined(0, office.counters[0], Here(0, [], News(2, True)))  # where it turns out to be gone
    await waiting
    assert office.counts == (2, 0, [0, 2])


async def test_who_gives_up_at_any_moment_keeps_no_place(office: Office) -> None:
    first, second = office.lines
    await claim(first)
    for rounds in range(40):  # later and later: before it is heard, while it waits, while it is granted, after that
        waiting = asyncio.create_task(claim(second, 600.0))
        for _ in range(rounds // 2):
            await asyncio.sleep(0)
        first.give_back()
        for _ in range(rounds % 7):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        await settled()
        if not waiting.cancelled():
            second.give_back()
            await settled()
        assert office.counts == (1, 0, [0, 1])
        assert second.taken == 1
        await claim(first)
    assert office.counts == (2, 0, [1, 1])


async def test_a_worker_that_stops_sends_away_who_waits_there_alone(office: Office) -> None:
    first, second = office.lines
    await claim(first)
    waits = [asyncio.create_task(claim(line, 600.0)) for line in (second, first)]
    await settled()
    second.refuse(lambda: FactoryFailed("it stops"))
    with pytest.raises(FactoryFailed):
        await waits[0]
    await settled()
    assert office.counts == (2, 1, [1, 1])
    second.give_back()
    await waits[1]
    assert office.counts == (2, 0, [2, 0])


async def test_without_a_desk_nothing_can_be_opened(office: Office) -> None:
    first, second = office.lines
    await claim(first)
    waiting = asyncio.create_task(claim(second, 600.0))
    await settled()
    office.counters[1].line.close()
    with pytest.raises(ServerDraining):
        await waiting
    for ask in (second.place(b""), claim(second)):
        with pytest.raises(ServerDraining):
            await ask
    assert (await second.census()).failure
    await settled()
    assert office.counts == (2, 0, [1, 1]), "its places wait for the worker that comes instead"


async def test_what_is_reclaimed_is_what_was_left_longest(office: Office) -> None:
    first, second = office.lines
    await claim(first)
    office.engines[0].leases.detached_s, office.engines[1].leases.detached_s = 61.0, 99.0
    waiting = asyncio.create_task(claim(first, patience_s=5.0))
    await settled()
    assert [engine.reclaimed for engine in office.engines] == [[], [1]]
    second.give_back()
    await waiting


async def test_news_reach_all(office: Office) -> None:
    first, second = office.lines
    await claim(first)
    waiting = asyncio.create_task(claim(second, 600.0))
    await settled()
    office.engines[0].limit = office.engines[1].limit = 3
    office.engines[1].stuck = 2
    first.relieve()
    second.relieve()
    await waiting
    await settled()
    assert first.capacity == second.capacity == 3
    assert [one["stuck"] for one in (await first.census()).processes] == [0, 2]
