"""A worker's end of its line to the desk: where sessions go, and the places that all workers share."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from openenv.errors import CapacityReached, OpenEnvError, ServerDraining, error_from_code
from openenv.fleet.lines import Line
from openenv.fleet.messages import (
    Ask,
    Capacity,
    Claim,
    CountRoom,
    Drained,
    Drop,
    FromWorker,
    GiveBack,
    Granted,
    Here,
    Keep,
    MayClose,
    News,
    Place,
    Placed,
    Position,
    Reclaim,
    Refused,
    Room,
    read_from_desk,
    written,
)
from openenv.fleet.messages import Census as Told
from openenv.session import SessionEngine
from openenv.session.lifetime.places import Census, all_taken

__all__ = ["DeskLine"]

_ASK_AGAIN_S = 1.0


class DeskLine:
    """Asks the desk, and answers it. It is what the engine of a worker takes for its places.

    Args:
        engine: The worker's own.

    Attributes:
        line: Where it is asked; to be connected before the engine starts.
        is_lost: Set once the desk is gone: nothing can be placed or claimed any more.
        capacity, taken, waiting: As ``SessionPlaces`` has them: all there are, and those of this worker.
    """

    def __init__(self, engine: SessionEngine) -> None:
        self.line = Line(_refuse_frames, self._said, self._lost)
        self.is_lost = asyncio.Event()
        self.taken = 0
        self.waiting = 0
        self._engine = engine
        self._capacity: int | None = None
        self._has_joined = self._is_leaving = False
        self._kept = 0
        self._last_news: News | None = None
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._moved: dict[int, Callable[[int], None]] = {}
        self._may_close = asyncio.Event()

    @property
    def capacity(self) -> int:
        """How many places there are in all."""
        return self._engine.limit if self._capacity is None else self._capacity

    def join(self, nonces: list[bytes]) -> None:
        """Take sessions from now on.

        Args:
            nonces: Digests of those that the sessions in its journal were opened with.
        """
        self._has_joined = True
        self._last_news = self._news()
        self._say(Here(self._kept, nonces, self._last_news))

    async def place(self, digest: bytes) -> int:
        """The worker that a new session is to be opened at.

        Args:
            digest: Of its nonce; empty if it has none.

        Raises:
            ServerDraining: The desk is gone.
        """
        placed: Placed = await self._ask(lambda call: Place(call, digest))
        return placed.worker

    def leave(self) -> None:
        """This worker is ending: its places stay taken until another one comes, which may go on with its sessions."""
        self._is_leaving = True

    async def drained(self) -> None:
        """All sessions here have ended: wait until nobody needs the connections of this worker any more."""
        self._say(Drained())
        lost = asyncio.create_task(self.is_lost.wait())
        closing = asyncio.create_task(self._may_close.wait())
        try:
            await asyncio.wait({lost, closing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
            closing.cancel()

    async def claim(self, wait_s: float, on_position: Callable[[int], None], patience_s: float) -> None:
        """Take a place for a session; see ``Places.claim``.

        Raises:
            CapacityReached: There is none.
            ServerDraining: The desk is gone.
        """
        self.waiting += 1
        try:
            await self._ask(lambda call: Claim(call, wait_s, patience_s, self._news()), on_position)
        finally:
            self.waiting -= 1
        self.taken += 1

    def keep(self, count: int) -> None:
        """Count places that somebody has already, whether or not there are so many."""
        self.taken += count
        if self._has_joined:
            self._say(Keep(count))
        else:
            self._kept += count

    def give_back(self) -> None:
        """Give back a place."""
        self.taken -= 1
        if self._has_joined:
            if not self._is_leaving:
                self._say(GiveBack())
        else:
            self._kept -= 1

    def grant(self) -> None:
        """There may be more places than before."""
        self.relieve()

    def relieve(self) -> None:
        """Tell the desk what is new; it looks after those who wait."""
        news = self._news()
        if self._has_joined and news != self._last_news:
            self._last_news = news
            self._say(news)

    def refuse(self, error: Callable[[], Exception]) -> None:
        """Send everybody away who waits here, each with an error of their own."""
        for call in [*self._moved]:
            self._give_up(call)
            answer = self._answers.pop(call, None)
            if answer is not None and not answer.done():
                answer.set_exception(error())

    def full(self) -> CapacityReached:
        """The error for one session too many."""
        return all_taken(self.taken, self.capacity, _ASK_AGAIN_S)

    async def census(self) -> Census:
        """How the whole server stands."""
        try:
            told: Told = await self._ask(Ask)
        except ServerDraining as error:
            return Census(self.capacity, self.taken, self.waiting, error.message)
        processes = [
            {
                "worker": one.index,
                "pid": one.pid,
                "up": one.is_up,
                "active": one.active,
                "waiting": one.waiting,
                "stuck": one.stuck,
            }
            for one in told.workers
        ]
        return Census(told.capacity, told.active, told.waiting, told.failure, processes)

    async def _ask(
        self, question: Callable[[int], FromWorker], on_position: Callable[[int], None] | None = None
    ) -> Any:
        if self.is_lost.is_set():
            raise _no_desk()
        call = next(self._numbers)
        answer = self._answers[call] = asyncio.get_running_loop().create_future()
        if on_position is not None:
            self._moved[call] = on_position
        try:
            self._say(question(call))
            return await answer
        except asyncio.CancelledError:
            if on_position is not None and call in self._answers:
                self._give_up(call)
            elif on_position is not None and not answer.cancelled() and answer.exception() is None:
                self._say(GiveBack())  # granted just then
            raise
        finally:
            self._answers.pop(call, None)
            self._moved.pop(call, None)

    def _give_up(self, call: int) -> None:
        """Nobody waits for that place any more; one that is granted meanwhile goes back."""
        self._moved.pop(call, None)
        self._say(Drop(call))

    def _said(self, raw: bytes) -> None:
        said = read_from_desk(raw)
        match said:
            case Position():
                moved = self._moved.get(said.call)
                if moved is not None:
                    moved(said.position)
            case Granted():
                if not self._answer(said.call, said):  # nobody waits for it any more
                    self._say(GiveBack())
            case Refused():
                self._answer(said.call, error_from_code(said.code, said.message, said.details))
            case Placed() | Told():
                self._answer(said.call, said)
            case Capacity():
                self._capacity = said.capacity
            case CountRoom():
                room = Room(said.call, self._engine.coming_back, self._engine.leases.reclaimable_for_s())
                self._say(room)
            case Reclaim():
                self._engine.reclaim(self._engine.coming_back + 1)
            case MayClose():
                self._may_close.set()

    def _answer(self, call: int, said: object) -> bool:
        """Hand over an answer; whether somebody waits for it."""
        answer = self._answers.pop(call, None)
        if answer is None or answer.done():
            return False
        if isinstance(said, OpenEnvError):
            answer.set_exception(said)
        else:
            answer.set_result(said)
        return True

    def _lost(self) -> None:
        self.is_lost.set()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(_no_desk())

    def _news(self) -> News:
        engine = self._engine
        known = engine.is_known or engine.limit > 1
        return News(engine.limit if known else None, engine.is_concurrent, engine.stuck, engine.failure)

    def _say(self, message: FromWorker) -> None:
        self.line.control(written(message))


def _refuse_frames(_: str | bytes) -> None:
    raise ValueError("the desk sends no frames")


def _no_desk() -> ServerDraining:
    return ServerDraining("the server is stopping and takes no new session; try again or elsewhere in a moment")
