"""Whose turn it is: the requests of one session run one after the other, in the order in which they came."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Turn"]


class Turn:
    """A lock that is given to who waits longest, and tells whether somebody has it or is about to.

    ``asyncio.Lock`` does not tell the second: between two who wait it looks free.

    Attributes:
        is_taken: Whether somebody has it or waits for it.
    """

    __slots__ = ("_waiting", "is_taken")

    def __init__(self) -> None:
        self.is_taken = False
        self._waiting: deque[asyncio.Future[None]] | None = None

    async def __aenter__(self) -> None:
        given = self.join()
        if given is not None:
            await self.given(given)

    async def __aexit__(self, *_: object) -> None:
        self.give_on()

    def join(self) -> asyncio.Future[None] | None:
        """Get in line now. ``None``: it is one's turn at once; else ``given`` waits. Then ``give_on`` has to follow."""
        if not self.is_taken:
            self.is_taken = True
            return None
        if self._waiting is None:
            self._waiting = deque()
        given = asyncio.get_running_loop().create_future()
        self._waiting.append(given)
        return given

    async def given(self, given: asyncio.Future[None]) -> None:
        """Wait for what ``join`` returned."""
        try:
            await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():  # it was given in the same moment
                self.give_on()
            raise

    def give_on(self) -> None:
        """To the next, without letting anybody else in between."""
        while self._waiting:
            given = self._waiting.popleft()
            if not given.done():
                given.set_result(None)
                return
        self.is_taken = False
