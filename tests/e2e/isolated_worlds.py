"""Environments that crash, hang and wait, for servers that are to survive them."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import threading
from pathlib import Path
from typing import Any, ClassVar

from openenv.environment import Environment
from openenv.types import Action, Observation, State


class Do(Action):
    what: str = "count"
    once: str = ""
    """A file: what is to be done is done only while it is not there, and it is there afterwards."""


class Told(Observation):
    count: int = 0
    pid: int = 0


class Crashing(Environment[Do, Told, State]):
    """Not deterministic as far as anybody knows, and alone in its process."""

    volatile = frozenset({"pid"})

    def __init__(self) -> None:
        self.count = 0
        self.hoard: list[bytes] = []

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Told:
        self.count = 0
        return self._told()

    def step(self, action: Do) -> Told:
        if not action.once or not Path(action.once).exists():
            if action.once:
                Path(action.once).touch()
            self._act(action.what)
        self.count += 1
        return self._told()

    def _told(self) -> Told:
        return Told(count=self.count, pid=os.getpid())

    def _act(self, what: str) -> None:
        match what:
            case "segfault":
                ctypes.string_at(0)
            case "exit":
                os._exit(3)
            case "hoard":
                while True:
                    self.hoard.append(bytes(1 << 24))
            case "burn":
                while True:
                    pass
            case "hang":
                signal.pause()

    @property
    def state(self) -> State:
        return State(step_count=self.count)


class Replayed(Crashing):
    deterministic = True


class Lying(Crashing):
    """Says that it is deterministic."""

    deterministic = True
    volatile = frozenset()


class Threaded(Environment[Do, Told, State]):
    """Hangs until it is let go."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    gate: ClassVar[threading.Event] = threading.Event()

    def __init__(self) -> None:
        self.count = 0

    def reset(self, seed: int | None = None, episode_id: str | None = None, hang: bool = False) -> Told:
        self.count = 0
        if hang:
            self.gate.wait()
        return Told()

    def step(self, action: Do) -> Told:
        if action.what == "hang":
            self.gate.wait()
        self.count += 1
        return Told(count=self.count)

    @property
    def state(self) -> State:
        return State(step_count=self.count)


class Awaited(Environment[Do, Told, State]):
    """Waits for ever without holding up anybody, or holds up its own thread."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    gate: ClassVar[threading.Event] = threading.Event()

    def __init__(self) -> None:
        self.count = 0

    async def reset_async(self, seed: int | None = None, **more: Any) -> Told:
        self.count = 0
        return Told()

    async def step_async(self, action: Do, **more: Any) -> Told:
        if action.what == "hang":
            await asyncio.Event().wait()
        if action.what == "block":
            self.gate.wait()
        self.count += 1
        return Told(count=self.count)

    @property
    def state(self) -> State:
        return State(step_count=self.count)
