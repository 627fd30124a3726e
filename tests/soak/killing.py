"""Kills and stops processes of a server, and takes note of when and which."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.soak.deaths import Death, How
from tests.soak.served import ServedWorld, children_of

__all__ = ["Killer"]

_WAKES_S = 12.0
"""After which a stopped worker goes on, if nobody has ended it: long after every deadline."""
_FINDS_THEM_S = 30.0


class Killer:
    """Strikes at workers, the fork server or the server of one served world.

    Attributes:
        deaths: What it did.
        wrong: What it could not do.
    """

    def __init__(self, served: ServedWorld, random_: random.Random) -> None:
        self.deaths: list[Death] = []
        self.wrong: list[str] = []
        self._served = served
        self._random = random_
        self._waking: set[asyncio.Task[None]] = set()

    async def waits_for(self, sessions: int) -> None:
        """Wait until so many workers have a session: a strike is to hit somebody."""
        limit = time.monotonic() + _FINDS_THEM_S
        while len(self._busy()) < sessions:
            if time.monotonic() > limit:
                self.wrong.append(f"there were not {sessions} workers with a session for {_FINDS_THEM_S:g} s")
                return
            await asyncio.sleep(0.02)

    async def worker(self, how: How) -> None:
        """Kill or stop a worker that has a session."""
        await self.waits_for(1)
        if not (busy := self._busy()):
            return None
        pid = self._random.choice(busy)
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return await self.worker(how)
        self.deaths.append(Death(how, time.monotonic(), frozenset({pid})))
        _send(handle, signal.SIGSTOP if how is How.STOPPED else signal.SIGKILL)
        if how is How.STOPPED:
            task = asyncio.create_task(_wake(handle))
            self._waking.add(task)
            task.add_done_callback(self._waking.discard)
        else:
            os.close(handle)
        return None

    async def fork_server(self) -> None:
        """Kill a process that starts workers, and them with it."""
        if not (found := self._served.fork_servers):
            self.wrong.append("there is no fork server")
            return
        pid = self._random.choice(found)
        handle = os.pidfd_open(pid)
        _send(handle, signal.SIGSTOP)  # it starts no other worker while these are counted
        self.deaths.append(Death(How.FORK_SERVER, time.monotonic(), frozenset(children_of(pid))))
        _send(handle, signal.SIGKILL)
        os.close(handle)

    async def one_of_several(self) -> None:
        """Kill one of the workers that the server consists of, and everything that lives in it."""
        pid = self._random.choice(self._served.workers)
        handle = os.pidfd_open(pid)
        _send(handle, signal.SIGSTOP)  # it starts nothing while these are counted
        os.close(handle)
        lives = [one for forks in children_of(pid) for one in children_of(forks)]
        self.deaths.append(Death(How.ONE_OF_SEVERAL, time.monotonic(), frozenset(lives)))
        await asyncio.to_thread(self._served.kill_worker, pid)

    async def workers(self) -> None:
        """Have all workers that the server consists of replaced, one after the other."""
        self.deaths.append(Death(How.ROLLED, time.monotonic()))
        await asyncio.to_thread(self._served.roll)

    async def server(self) -> None:
        """Kill the server; whoever calls starts the next one."""
        self.deaths.append(Death(How.SERVER, time.monotonic()))
        await asyncio.to_thread(self._served.crash)

    async def drain(self) -> None:
        """Stop the server as it wants to be stopped; whoever calls starts the next one."""
        self.deaths.append(Death(How.DRAINED, time.monotonic()))
        await asyncio.to_thread(self._served.drain, goes_on=True)

    async def rest(self) -> None:
        """Wait until nobody that was stopped is still waiting to go on."""
        await asyncio.gather(*self._waking)

    def _busy(self) -> list[int]:
        return [pid for forks in self._served.fork_servers for pid in children_of(forks) if _threads(pid) > 1]


def _threads(pid: int) -> int:
    with suppress(OSError):
        return len(list(Path(f"/proc/{pid}/task").iterdir()))
    return 0


def _send(handle: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, number)


async def _wake(handle: int) -> None:
    try:
        await asyncio.sleep(_WAKES_S)
    finally:
        _send(handle, signal.SIGCONT)
        os.close(handle)
