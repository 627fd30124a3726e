"""One thread for all environments of a class that can step several of them in one call."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from openenv.session.hosting.executors import Executor, ThreadExecutor
from openenv.session.hosting.placement import Kind, Placement, SpeedRecord

__all__ = ["SharedThread"]


class SharedThread:
    """Gives out executors that all run on one thread, which lives as long as one of them is in use."""

    def __init__(self, speed: SpeedRecord, name: str) -> None:
        self._speed, self._name = speed, name
        self._thread: ThreadExecutor | None = None
        self._users = 0

    def executor(self) -> Executor:
        """A place on the thread."""
        if self._thread is None:
            self._thread = ThreadExecutor(self._speed, self._name)
        self._users += 1
        return _Seat(self, self._thread, partial(ThreadExecutor, self._speed, self._name))

    async def leave(self, thread: ThreadExecutor) -> None:
        """One of the executors is done with."""
        self._users -= 1
        if not self._users:
            self._thread = None
            await thread.stop()


class _Seat:
    """An environment's place: on the common thread, and on one of its own once it has moved."""

    placement = Placement.THREAD

    def __init__(self, shared: SharedThread, thread: ThreadExecutor, alone: Callable[[], ThreadExecutor]) -> None:
        self._shared, self._thread, self._alone = shared, thread, alone
        self._own: ThreadExecutor | None = None

    @property
    def common(self) -> object | None:
        """The common thread, as long as it is there."""
        return self._thread if self._own is None else None

    async def call(self, kind: Kind, function: Callable[[], Any]) -> Any:
        return await (self._own or self._thread).call(kind, function)

    def meanwhile(self, function: Callable[[], None]) -> None:
        pass

    def moved(self) -> Executor:
        """On a thread of its own: a call that hangs must not hold up the others."""
        if self._own is None:
            self._own = self._alone()
        return self

    async def settled(self, timeout_s: float) -> bool:
        return True

    async def stop(self) -> None:
        try:
            if self._own is not None:
                await self._own.stop()
        finally:
            await self._shared.leave(self._thread)
