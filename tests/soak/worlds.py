"""Environments whose state is a checksum of all that was asked of them, and who write down what they did."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from contextlib import suppress
from typing import Any, Literal

from pydantic import Field
from tests.soak.ledger import Ledger, first_sum, next_sum, padding

from openenv import Action, Environment, Observation, State

LEDGER_VARIABLE = "OPENENV_SOAK_LEDGER"


class Add(Action):
    """One number, and where its sender believes to be.

    ``hog_mb`` are megabytes to allocate first. Should there be not enough, the step raises, or its process dies of it:
    ``once``, so that the same step passes when it is played again, or ``always``.
    """

    number: int
    episode: str
    turn: int
    slow_s: float = Field(default=0.0, ge=0)
    padding: int = Field(default=0, ge=0)
    hog_mb: int = Field(default=0, ge=0)
    dies: Literal["", "once", "always"] = ""


class Sum(Observation):
    """Where the environment is."""

    instance: str
    episode: str
    turn: int
    sum: str
    padding: str = ""
    mood: str = ""


class SumState(State):
    """The same, asked for."""

    instance: str
    sum: str


class _Summing(Environment[Add, Sum, SumState]):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, path: str | None = None) -> None:
        self._instance = secrets.token_hex(6)
        self._path = path or os.environ[LEDGER_VARIABLE]
        self._ledger = Ledger(self._path, self._instance)
        self._mood = ""
        self._episode, self._turn, self._length, self._sum = "", 0, 0, ""
        self._ledger.write("create")

    def _reset(self, seed: int, episode_id: str, length: int) -> Sum:
        self._episode, self._turn, self._length, self._sum = episode_id, 0, length, first_sum(seed)
        self._ledger.write("reset", episode=episode_id, seed=seed, sum=self._sum, mood=self._mood)
        return self._here()

    def _step(self, action: Add) -> Sum:
        self._turn += 1
        self._sum = next_sum(self._sum, action.number)
        self._ledger.write(
            "step",
            episode=self._episode,
            turn=self._turn,
            meant_episode=action.episode,
            meant_turn=action.turn,
            number=action.number,
            sum=self._sum,
        )
        return self._here(action.padding)

    def _here(self, size: int = 0) -> Sum:
        return Sum(
            instance=self._instance,
            episode=self._episode,
            turn=self._turn,
            sum=self._sum,
            padding=padding(self._sum, size),
            mood=self._mood,
            reward=float(self._turn),
            done=self._turn == self._length,
        )

    @property
    def state(self) -> SumState:
        return SumState(episode_id=self._episode, step_count=self._turn, instance=self._instance, sum=self._sum)

    def close(self) -> None:
        self._ledger.write("close", episode=self._episode, turn=self._turn)
        self._ledger.close()


class Quick(_Summing):
    """Never slow: it moves into the server's thread."""

    def reset(self, seed: int = 0, episode_id: str = "", length: int = 0) -> Sum:
        return self._reset(seed, episode_id, length)

    def step(self, action: Add) -> Sum:
        return self._step(action)


class Threaded(_Summing):
    """Blocks its own thread when asked to be slow."""

    REQUIRES_SINGLE_THREAD_EXECUTOR = True

    def reset(self, seed: int = 0, episode_id: str = "", length: int = 0) -> Sum:
        return self._reset(seed, episode_id, length)

    def step(self, action: Add) -> Sum:
        if action.slow_s:
            time.sleep(action.slow_s)
        return self._step(action)


class Awaited(_Summing):
    """Awaits when asked to be slow."""

    async def reset_async(self, seed: int = 0, episode_id: str = "", length: int = 0) -> Sum:
        return self._reset(seed, episode_id, length)

    async def step_async(self, action: Add, **_: Any) -> Sum:
        if action.slow_s:
            await asyncio.sleep(action.slow_s)
        return self._step(action)


class Steadfast(_Summing):
    """Lives in a process that may die, and can be played again."""

    isolation = "process"
    deterministic = True
    volatile = frozenset({"instance"})

    def reset(self, seed: int = 0, episode_id: str = "", length: int = 0) -> Sum:
        return self._reset(seed, episode_id, length)

    def step(self, action: Add) -> Sum:
        if action.slow_s:
            time.sleep(action.slow_s)
        if action.hog_mb:
            self._allocate(action)
        return self._step(action)

    def _allocate(self, action: Add) -> None:
        if action.dies == "once" and not _is_first(f"{self._path}.died-{action.episode}-{action.turn}"):
            return
        try:
            bytearray(action.hog_mb << 20)
        except MemoryError:
            if not action.dies:
                raise
            self._ledger.write("die", episode=self._episode, turn=self._turn)
            os.abort()  # as code in other languages does


class Fickle(Steadfast):
    """The same, which does not say that it can be played again: its mood is another one each time."""

    deterministic = False

    def __init__(self, path: str | None = None) -> None:
        super().__init__(path)
        self._mood = secrets.choice(("merry", "sad"))


class Lying(Fickle):
    """The same, which says that it can: half of the time it is found out."""

    deterministic = True


def _is_first(path: str) -> bool:
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        return True
    return False


WORLDS = (Quick, Threaded, Awaited)
MORTALS = (Steadfast, Fickle, Lying)
