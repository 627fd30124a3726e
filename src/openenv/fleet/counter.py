"""The desk's end of its line to one worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from openenv.errors import OpenEnvError
from openenv.fleet.desk import Desk
from openenv.fleet.lines import Line
from openenv.fleet.messages import (
    Ask,
    Capacity,
    Claim,
    CountRoom,
    Drained,
    Drop,
    FromDesk,
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
    read_from_worker,
    written,
)

__all__ = ["Counter"]


class Counter:
    """Puts what one worker asks before the desk, and answers.

    Args:
        desk: Who decides.
        worker: Number of the worker.
        pid: Its process.
        on_drained: Called when it says that all its sessions have ended.

    Attributes:
        line: Where it is asked. When it ends, so do the questions of the worker.
        has_joined: Whether it takes sessions.
        has_drained: Whether it said so.
    """

    def __init__(self, desk: Desk, worker: int, pid: int, on_drained: Callable[[], None]) -> None:
        self.pid = pid
        self.line = Line(_refuse_frames, self._said, self._lost)
        self.has_joined = asyncio.Event()
        self.has_drained = False
        self._desk = desk
        self._worker = worker
        self._on_drained = on_drained
        self._claims: dict[int, asyncio.Task[None]] = {}
        self._rooms: dict[int, asyncio.Future[Room]] = {}
        self._calls = 0

    def let_close(self) -> None:
        """Nobody needs the worker's connections any more."""
        self._say(MayClose())

    async def count_room(self) -> Room:
        """How many of its places are coming back, and which session may be ended first."""
        if not self.line.is_open:
            raise ConnectionError("the worker is gone")
        self._calls += 1
        number = self._calls
        counted: asyncio.Future[Room] = asyncio.get_running_loop().create_future()
        self._rooms[number] = counted
        try:
            self._say(CountRoom(number))
            return await counted
        finally:
            del self._rooms[number]

    def reclaim(self) -> None:
        """Have it end that session."""
        self._say(Reclaim())

    def tell_capacity(self, capacity: int) -> None:
        """How many places there are."""
        self._say(Capacity(capacity))

    def _said(self, raw: bytes) -> None:
        said = read_from_worker(raw)
        match said:
            case Place():
                self._say(Placed(said.call, self._desk.place(self._worker, said.digest)))
            case Claim():
                self._desk.learn(self._worker, said.news)
                self._claims[said.call] = asyncio.create_task(self._claim(said))
            case GiveBack():
                self._desk.give_back(self._worker)
            case Drop():
                self._drop(said.call)
            case Keep():
                self._desk.keep(self._worker, said.count)
            case News():
                self._desk.learn(self._worker, said)
            case Room():
                counted = self._rooms.get(said.call)
                if counted is not None and not counted.done():
                    counted.set_result(said)
            case Ask():
                self._say(self._desk.census(said.call))
            case Here():
                self._desk.joined(self._worker, self, said)
                self.has_joined.set()
            case Drained():
                self.has_drained = True
                self._on_drained()

    async def _claim(self, claim: Claim) -> None:
        def moved(position: int) -> None:
            self._say(Position(claim.call, position))

        try:
            await self._desk.claim(self._worker, claim.wait_s, claim.patience_s, moved)
        except OpenEnvError as error:
            del self._claims[claim.call]
            self._say(Refused(claim.call, type(error).code, error.message, error.details))
        else:
            del self._claims[claim.call]
            self._say(Granted(claim.call))

    def _drop(self, call: int) -> None:
        claim = self._claims.pop(call, None)
        if claim is not None:  # else it was granted or refused already, and the worker is told of that
            claim.cancel()
            self._say(Refused(call, OpenEnvError.code, "nobody waits any more", {}))

    def _lost(self) -> None:
        """The worker is gone: it waits for nothing any more."""
        self._desk.left(self._worker, self)
        for claim in self._claims.values():
            claim.cancel()
        for counted in self._rooms.values():
            if not counted.done():
                counted.set_exception(ConnectionError("the worker is gone"))

    def _say(self, message: FromDesk) -> None:
        self.line.control(written(message))


def _refuse_frames(_: str | bytes) -> None:
    raise ValueError("the desk takes no frames")
