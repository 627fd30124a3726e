"""One call of a pool's user: what it asks of which seats, and what has come of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Any

from openenv.client.breaks import Break
from openenv.errors import OpenEnvError
from openenv.pool.events import PoolEvent, Teller
from openenv.pool.results import PoolResult
from openenv.pool.seat import Deliver, Seat
from openenv.protocol import Request

__all__ = ["Call"]


class Call:
    """Waits for one answer of each seat.

    Args:
        seats: Who is asked, each once.
        timeout_s: Seconds after which those that did not answer are given up; ``None``: as long as it takes.
        tell: Told of each answer.

    Attributes:
        indices: Who they are.
        results: What came, by position; ``None`` until then, and where it is an error.
        errors: The errors, likewise.
    """

    def __init__(self, seats: Sequence[Seat], timeout_s: float | None, tell: Teller) -> None:
        for seat in seats:
            seat.check_free()
        self.indices = [seat.index for seat in seats]
        self._seats, self._timeout_s, self._tell = seats, timeout_s, tell
        self.results: list[Any] = [None] * len(seats)
        self.errors: list[OpenEnvError | None] = [None] * len(seats)
        self._has = [False] * len(seats)
        self._left = len(seats)
        self._done = asyncio.Event()
        self._arrived: deque[int] = deque()
        self._news = asyncio.Event()

    def deliver(self, position: int) -> Deliver:
        """What the seat at that position is to tell its answer."""
        return partial(self._put, position)

    async def all(self) -> None:
        """Wait until everybody has answered, or was given up."""
        if not self._left:
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._done.wait()
        except TimeoutError:
            self._give_up(Break.TIMEOUT, f"no answer within {self._timeout_s} s")
        except BaseException:
            self._give_up(Break.CANCELLED, "the call was cancelled")
            raise

    async def looked(self, kind: type[Request]) -> list[Any]:
        """What everybody answers to a request of that kind, which moves nothing; raises the first error there is."""
        for position, seat in enumerate(self._seats):
            seat.look(kind(), self.deliver(position))
        await self.all()
        PoolResult(self.indices, self.results, self.errors).raise_errors()
        return self.results

    async def as_completed(self) -> AsyncGenerator[int, None]:
        """The positions as their answers come. Who stops reading gives up the others."""
        loop = asyncio.get_running_loop()
        over_at = None if self._timeout_s is None else loop.time() + self._timeout_s
        told = 0
        try:
            while told < len(self._seats):
                while self._arrived:
                    told += 1
                    yield self._arrived.popleft()
                if told == len(self._seats):
                    return
                self._news.clear()
                try:
                    async with asyncio.timeout_at(over_at):
                        await self._news.wait()
                except TimeoutError:
                    self._give_up(Break.TIMEOUT, f"no answer within {self._timeout_s} s")
        finally:
            self._give_up(Break.CANCELLED, "the call was cancelled")

    def _put(self, position: int, result: Any, error: OpenEnvError | None) -> None:
        self.results[position], self.errors[position], self._has[position] = result, error, True
        self._left -= 1
        self._arrived.append(position)
        if not self._left:
            self._done.set()
        self._news.set()
        if self._tell.is_heard:
            of = len(self._seats)
            self._tell(PoolEvent("answered", self._seats[position].index, number=of - self._left, of=of))

    def _give_up(self, why: Break, message: str) -> None:
        for seat, has in zip(self._seats, list(self._has), strict=True):
            if not has:
                seat.give_up(why, message)
