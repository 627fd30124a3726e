"""Where sessions are placed among workers, and the places that all of them share."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from openenv.fleet.messages import Census, Here, News, Room, WorkerCensus
from openenv.session.lifetime.places import Places

__all__ = ["Desk", "Reached"]

_MOST_NONCES = 65_536
"""Nonces whose worker is remembered; a client sends one again within its time to reconnect."""

_ARRIVES_WITHIN_S = 10.0
"""After which a session that was sent to a worker, and did not come, counts no more."""

_COUNTS_WITHIN_S = 0.5
_BUSY_SHARE = 4
"""The worker that asks gets the session unless it has a fourth more than another: a session is fastest there."""


class Reached(Protocol):
    """A worker, as the desk reaches it."""

    pid: int

    async def count_room(self) -> Room:
        """How many of its places are coming back, and which session may be ended first."""

    def reclaim(self) -> None:
        """Have it end that session."""

    def tell_capacity(self, capacity: int) -> None:
        """How many places there are."""


@dataclass(eq=False)
class _Worker:
    """What is known of a worker.

    Attributes:
        line: How it is reached; ``None`` while it is not.
        retires: Whether it is to get no more sessions.
        taken: Places of its sessions. They stay while it is being replaced.
        waiting: How many wait for a place there.
        sent: When sessions were sent to it that have not asked for their place yet, oldest first.
    """

    line: Reached | None = None
    retires: bool = False
    taken: int = 0
    waiting: int = 0
    sent: deque[float] = field(default_factory=deque)
    news: News = field(default_factory=lambda: News(None, False))

    @property
    def takes_sessions(self) -> bool:
        return self.line is not None and not self.retires

    def load(self, now: float) -> int:
        while self.sent and now - self.sent[0] > _ARRIVES_WITHIN_S:
            self.sent.popleft()
        return self.taken + self.waiting + len(self.sent)


class Desk:
    """Decides for all workers of a server; they are known by their numbers, from 0.

    Of a class of which several may not live side by side, all sessions are at worker 0.

    Args:
        count: How many there are.
        clock: Monotonic seconds.
    """

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._workers = [_Worker() for _ in range(count)]
        self._nonces: OrderedDict[bytes, int] = OrderedDict()
        self._capacity = 1
        self._places = Places(lambda: self._capacity, clock)
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def capacity(self) -> int:
        """Sessions at the same time."""
        return self._capacity

    def place(self, asker: int, digest: bytes) -> int:
        """The worker that a new session is to be opened at: the one with the fewest; who asks goes first.

        Args:
            asker: Where its client is connected.
            digest: Of its nonce, which always gives the same worker; empty if it has none.
        """
        known = self._nonces.get(digest) if digest else None
        if known is not None:
            self._nonces.move_to_end(digest)
            return known
        chosen = self._least_loaded(asker)
        self._workers[chosen].sent.append(self._clock())
        if digest:
            self._remember(digest, chosen)
        return chosen

    async def claim(self, worker: int, wait_s: float, patience_s: float, on_position: Callable[[int], None]) -> None:
        """Take a place for a session of a worker; see ``Places.claim``. A caller that is cancelled has none.

        Raises:
            CapacityReached: There is none.
        """
        found = self._workers[worker]
        if found.sent:
            found.sent.popleft()
        found.waiting += 1
        try:
            await self._take(wait_s, patience_s, on_position)
        finally:
            found.waiting -= 1
        found.taken += 1

    def give_back(self, worker: int) -> None:
        """A worker gives back a place."""
        self._workers[worker].taken -= 1
        self._places.give_back()

    def keep(self, worker: int, count: int) -> None:
        """A worker has places, whether or not there are so many."""
        self._workers[worker].taken += count
        self._places.keep(count)

    def joined(self, worker: int, line: Reached, here: Here) -> None:
        """A worker takes sessions: for the first time, or instead of one that ended."""
        found = self._workers[worker]
        found.line, found.retires = line, False
        before = found.taken
        self.keep(worker, here.kept)  # first: these are not free in between
        self._free(worker, before)
        for digest in here.nonces:
            self._remember(digest, worker)
        self.learn(worker, here.news)
        line.tell_capacity(self._capacity)

    def left(self, worker: int, line: Reached) -> None:
        """A worker has ended. Its places stay taken: whoever comes instead may go on with its sessions."""
        found = self._workers[worker]
        if found.line is not line:
            return
        found.line = None
        found.sent.clear()
        found.news.stuck, found.news.failure = 0, None

    def given_up(self, worker: int) -> None:
        """Nobody comes instead of a worker for now: its places are free."""
        self._free(worker, self._workers[worker].taken)

    def retire(self, worker: int) -> None:
        """A worker is about to end: it gets no more sessions."""
        self._workers[worker].retires = True

    def learn(self, worker: int, news: News) -> None:
        """Take note of what a worker knows."""
        self._workers[worker].news = news
        if news.limit is not None and news.limit != self._capacity:
            self._capacity = news.limit
            for one in self._workers:
                if one.line is not None:
                    one.line.tell_capacity(self._capacity)
            self._places.grant()

    async def relieve(self) -> None:
        """Have a session that nobody has held for long end, if somebody waits. To be called about once a second."""
        if self._places.waiting:
            await self._make_room(self._places.waiting)

    def census(self, call: int = 0) -> Census:
        """How all of them stand."""
        return Census(
            call,
            self._capacity,
            self._places.taken,
            self._places.waiting,
            sum(one.news.stuck for one in self._workers),
            next((one.news.failure for one in self._workers if one.news.failure), None),
            [
                WorkerCensus(
                    index, one.line.pid if one.line else 0, one.line is not None, one.taken, one.waiting, one.news.stuck
                )
                for index, one in enumerate(self._workers)
            ],
        )

    def _least_loaded(self, asker: int) -> int:
        if not any(one.news.concurrent for one in self._workers):
            return 0
        now = self._clock()
        loads = {number: one.load(now) for number, one in enumerate(self._workers) if one.takes_sessions}
        least = min(loads, key=loads.__getitem__, default=asker)
        if asker in loads and loads[asker] <= loads[least] + loads[least] // _BUSY_SHARE:
            return asker
        return least

    def _remember(self, digest: bytes, worker: int) -> None:
        self._nonces[digest] = worker
        if len(self._nonces) > _MOST_NONCES:
            self._nonces.popitem(last=False)

    def _free(self, worker: int, count: int) -> None:
        for _ in range(count):
            self.give_back(worker)

    async def _take(self, wait_s: float, patience_s: float, on_position: Callable[[int], None]) -> None:
        if not self._places.is_free:
            making = self._make_room(self._places.waiting + 1)
            if wait_s < patience_s:  # it waits only if it is worth it
                coming = await making
                wait_s = patience_s if coming > self._places.waiting else wait_s
            else:
                self._in_background(making)
        await self._places.take(wait_s, on_position)

    async def _make_room(self, wanted: int) -> int:
        """How many places are coming back, after one session was told to end if these are fewer than are wanted."""
        lines = [one.line for one in self._workers if one.line is not None]
        rooms = [(line, room) for line, room in zip(lines, await _counted(lines), strict=True) if room is not None]
        coming = sum(room.coming_back for _, room in rooms)
        idle = [(room.detached_s, line) for line, room in rooms if room.detached_s is not None]
        if coming < wanted and idle:
            max(idle, key=lambda one: one[0])[1].reclaim()
            coming += 1
        return coming

    def _in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _counted(lines: Iterable[Reached]) -> list[Room | None]:
    async def counted(line: Reached) -> Room | None:
        with suppress(TimeoutError, ConnectionError):  # one that is busy or gone has nothing to offer now
            async with asyncio.timeout(_COUNTS_WITHIN_S):
                return await line.count_room()
        return None

    return await asyncio.gather(*(counted(line) for line in lines))
