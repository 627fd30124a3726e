"""What the tests of rollouts play: environments and agents in files, and a road to a server that can be cut."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from openenv.record import Event, EventStore, Run

WALK = '''"""A walk of random length, and walks that go wrong."""

import os

from openenv import Action, Environment, Observation, State


class Move(Action):
    by: int


class Place(Observation):
    place: int
    pid: int = 0


class Walk(Environment[Move, Place, State]):
    """Ends at a place that the seed decides."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed=None, episode_id=None):
        self.seed, self.place, self.end = seed, 0, self.rng.randint(1, 6)
        return Place(place=0)

    def step(self, action):
        self.place += 1
        return Place(place=self.place, reward=action.by * self.rng.random(), done=self.place >= self.end)

    @property
    def state(self):
        return State()


class Fragile(Walk):
    """Fails in reset for every fifth seed, in its second step for every third."""

    def reset(self, seed=None, episode_id=None):
        if seed % 5 == 0:
            raise OSError("no such road")
        super().reset(seed=seed)
        self.end = 3
        return Place(place=0)

    def step(self, action):
        if self.seed % 3 == 0 and self.place == 1:
            raise ArithmeticError("lost the way")
        return super().step(action)


class Endless(Walk):
    """Never ends, and tells its process."""

    def reset(self, seed=None, episode_id=None):
        self.place = 0
        return Place(place=0, pid=os.getpid())

    def step(self, action):
        self.place += 1
        return Place(place=self.place, pid=os.getpid(), reward=1.0)


def make_walk() -> Environment:  # a factory: its class is known once it is called
    return Walk()


class Alone(Endless):
    SUPPORTS_CONCURRENT_SESSIONS = False
'''

SLOW = '''"""An environment whose import says that it has begun, and does not end before it is let."""

import os

with open({says!r}, "w") as says:
    says.write(f"{{os.getpid()}}\\n")
open({until!r}).close()
'''


def walk(directory: Path, name: str = "Walk") -> str:
    """The environment of that name as a target, written to the directory."""
    path = directory / "walk.py"
    path.write_text(WALK, encoding="utf-8")
    return f"{path}:{name}"


def slow(directory: Path) -> tuple[str, Path]:
    """An environment that never comes to serve, as a target, and the pipe that its server's process id comes from."""
    says, until = directory / "says", directory / "until"
    for pipe in (says, until):
        os.mkfifo(pipe)
    path = directory / "slow.py"
    path.write_text(SLOW.format(says=str(says), until=str(until)), encoding="utf-8")
    return str(path), says


def forward(observation: dict[str, Any]) -> dict[str, Any]:
    """An agent that always does the same."""
    return {"by": 1}


def recorded(directory: Path) -> tuple[Run, dict[str, list[Event]]]:
    """The only run of a store, and its events by episode."""
    with EventStore.open(directory) as store:
        (run,) = store.runs()
        episodes: dict[str, list[Event]] = {}
        for event in store.events(run.id):
            episodes.setdefault(event.episode, []).append(event)
    return run, episodes


def checked(episodes: dict[str, list[Event]]) -> dict[str, list[Event]]:
    """The same, if every episode is whole: numbered from 0 without a gap, with one end, and that the last."""
    for events in episodes.values():
        assert [event.index for event in events] == list(range(len(events)))
        assert [event.kind for event in events].index("end") == len(events) - 1
        assert events[0].kind in ("reset", "error")
        assert all(event.kind == "step" for event in events[1:-2])
    return episodes


class Road:
    """Carries connections to a server, until it is told not to."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._carried: list[asyncio.StreamWriter] = []
        self.connections = 0

    async def open(self) -> str:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Break every connection; new ones are carried."""
        for end in self._carried:
            end.transport.abort()
        self._carried.clear()

    def close(self) -> None:
        """Break every connection and refuse new ones."""
        assert self._server is not None
        self._server.close()
        self.cut()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(self._host, self._port)
        self._carried += [writer, there_writer]
        self.connections += 1
        await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def road_to(url: str) -> AsyncIterator[tuple[Road, str]]:
    """A road to a server, and its address."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    road = Road(parts.hostname, parts.port)
    address = await road.open()
    try:
        yield road, address
    finally:
        road.close()
