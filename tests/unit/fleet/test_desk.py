"""Where the desk places sessions, who gets a place, and what becomes of the places of a worker that dies."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.session.still import settled

from openenv.errors import CapacityReached
from openenv.fleet.desk import Desk
from openenv.fleet.messages import Here, News, Room


class Reached:
    """A worker that the desk can reach."""

    def __init__(self, coming_back: int = 0, detached_s: float | None = None) -> None:
        self.pid = 1
        self.room = Room(0, coming_back, detached_s)
        self.capacity = 0
        self.reclaimed = 0

    async def count_room(self) -> Room:
        return self.room

    def reclaim(self) -> None:
        self.reclaimed += 1

    def tell_capacity(self, capacity: int) -> None:
        self.capacity = capacity


class Still:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def desk_of(*workers: Reached, limit: int, concurrent: bool = True, clock: Still | None = None) -> Desk:
    desk = Desk(len(workers), clock or Still())
    for number, worker in enumerate(workers):
        desk.joined(number, worker, Here(0, [], News(limit, concurrent)))
    return desk


def actives(desk: Desk) -> list[int]:
    return [worker.active for worker in desk.census().workers]


async def take(desk: Desk, worker: int, wait_s: float = 0.0, patience_s: float = 0.0) -> list[int]:
    positions: list[int] = []
    await desk.claim(worker, wait_s, patience_s, positions.append)
    return positions


async def test_sessions_of_one_connection_spread_over_all_workers() -> None:
    desk = desk_of(*(Reached() for _ in range(4)), limit=1000)
    for number in range(1000):
        worker = desk.place(2, b"%d" % number)
        if number % 2:  # others are still on their way
            await take(desk, worker)
    placed = [desk.place(2, b"%d" % number) for number in range(1000)]
    shares = [placed.count(worker) for worker in range(4)]
    assert min(shares) > 200
    assert shares[2] == max(shares), "who asks gets a few more: sessions are fastest there"


async def test_two_sessions_go_to_two_workers() -> None:
    desk = desk_of(Reached(), Reached(), limit=2)
    assert {desk.place(1, b"a"), desk.place(1, b"b")} == {0, 1}


async def test_a_nonce_keeps_its_worker() -> None:
    clock = Still()
    desk = desk_of(Reached(), Reached(), limit=100, clock=clock)
    first = desk.place(1, b"nonce")
    for number in range(20):
        desk.place(1, b"%d" % number)
    assert [desk.place(asker, b"nonce") for asker in (0, 1)] == [first, first]


async def test_a_nonce_of_a_journal_is_where_that_journal_is() -> None:
    desk = desk_of(Reached(), Reached(), limit=100)
    desk.joined(1, Reached(), Here(3, [b"before"], News(100, True)))
    assert desk.place(0, b"before") == 1
    assert actives(desk) == [0, 3]


async def test_what_was_sent_and_never_came_is_forgotten() -> None:
    clock = Still()
    desk = desk_of(Reached(), Reached(), limit=100, clock=clock)
    for number in range(8):
        desk.place(0, b"%d" % number)
    clock.now = 60.0
    await take(desk, 1)
    assert [desk.place(1, b"later"), desk.place(1, b"latest")] == [0, 1]


async def test_of_a_class_that_lives_alone_all_are_at_the_first_worker() -> None:
    desk = desk_of(Reached(), Reached(), limit=1, concurrent=False)
    assert [desk.place(1, b"%d" % number) for number in range(5)] == [0] * 5


async def test_a_worker_that_retires_or_is_gone_gets_none() -> None:
    gone = Reached()
    desk = desk_of(Reached(), gone, Reached(), limit=100)
    desk.retire(0)
    desk.left(1, gone)
    assert {desk.place(0, b"%d" % number) for number in range(9)} == {2}


async def test_the_queue_is_one_for_all_workers() -> None:
    desk = desk_of(Reached(), Reached(), limit=2)
    await take(desk, 0)
    await take(desk, 0)
    heard: list[list[int]] = [[], [], []]
    order: list[int] = []

    async def wait(number: int, worker: int) -> None:
        await desk.claim(worker, 600.0, 5.0, heard[number].append)
        order.append(number)

    waiting = []
    for number, worker in enumerate((1, 0, 1)):
        waiting.append(asyncio.create_task(wait(number, worker)))
        await settled()
    with pytest.raises(CapacityReached) as full:
        await take(desk, 1)
    assert full.value.details["active_sessions"] == full.value.details["max_sessions"] == 2
    assert desk.census().waiting == 3
    for worker in (0, 0, 1):
        desk.give_back(worker)
        await settled()
    assert order == [0, 1, 2]
    assert heard == [[1], [2, 1], [3, 2, 1]]
    assert desk.census().active == 2
    assert actives(desk) == [1, 1]


async def test_a_worker_that_dies_keeps_its_places_for_the_next_and_no_longer() -> None:
    dying = Reached()
    desk = desk_of(dying, Reached(), limit=3)
    for worker in (0, 0, 1):
        await take(desk, worker)
    waiting = asyncio.create_task(take(desk, 1, 600.0))
    await settled()
    desk.left(0, dying)
    await settled()
    assert not waiting.done(), "its sessions may come back"
    desk.joined(0, Reached(), Here(2, [], News(3, True)))
    await settled()
    assert not waiting.done()
    desk.joined(0, Reached(), Here(1, [], News(3, True)))
    await settled()
    assert await waiting == [1]
    assert actives(desk) == [1, 2]
    desk.given_up(0)
    assert actives(desk) == [0, 2]
    assert desk.census().active == 2


async def test_who_gives_up_waiting_leaves_nothing() -> None:
    desk = desk_of(Reached(), Reached(), limit=1)
    await take(desk, 0)
    waiting = asyncio.create_task(take(desk, 1, 600.0))
    await settled()
    waiting.cancel()
    await settled()
    desk.give_back(0)
    assert (desk.census().active, desk.census().waiting, actives(desk)) == (0, 0, [0, 0])


async def test_a_place_that_is_coming_back_anywhere_is_waited_for() -> None:
    ending = Reached(coming_back=1)
    desk = desk_of(Reached(), ending, limit=1)
    await take(desk, 1)
    waiting = asyncio.create_task(take(desk, 0, patience_s=5.0))
    await settled()
    assert not waiting.done()
    ending.room = Room(0, 0, None)
    with pytest.raises(CapacityReached):
        await take(desk, 0, patience_s=5.0)
    desk.give_back(1)
    assert await waiting == [1]


async def test_whoever_was_left_longest_gives_up_its_place() -> None:
    short, long = Reached(detached_s=70.0), Reached(detached_s=90.0)
    desk = desk_of(short, long, limit=2)
    await take(desk, 0)
    await take(desk, 1)
    waiting = asyncio.create_task(take(desk, 0, 600.0, 5.0))
    await settled()
    assert (short.reclaimed, long.reclaimed) == (0, 1)
    long.room = Room(0, 1, None)
    await desk.relieve()
    assert (short.reclaimed, long.reclaimed) == (0, 1), "one place is wanted, and one is coming back"
    desk.give_back(1)
    await waiting
    await desk.relieve()
    assert (short.reclaimed, long.reclaimed) == (0, 1)


async def test_more_places_are_given_to_who_waits() -> None:
    worker = Reached()
    desk = desk_of(worker, limit=1)
    await take(desk, 0)
    waiting = asyncio.create_task(take(desk, 0, 600.0, 5.0))
    await settled()
    desk.learn(0, News(2, True))
    await waiting
    assert worker.capacity == desk.capacity == 2
