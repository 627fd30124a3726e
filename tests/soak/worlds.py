"""Environments whose state is a checksum of all that was asked of them, and who write down what they did."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from typing import Any

from pydantic import Field
from tests.soak.ledger import Ledger, first_sum, next_sum, padding

from openenv import Action, Environment, Observation, State

LEDGER_VARIABLE = "OPENENV_SOAK_LEDGER"


class Add(Action):
    """One number, and where its sender believes to be."""

    number: int
    episode: str
    turn: int
    slow_s: float = Field(default=0.0, ge=0)
    padding: int = Field(default=0, ge=0)


class Sum(Observation):
    """Where the environment is."""

    instance: str
    episode: str
    turn: int
    sum: str
    padding: str = ""


class SumState(State):
    """The same, asked for."""

    instance: str
    sum: str


class _Summing(Environment[Add, Sum, SumState]):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, path: str | None = None) -> None:
        self._instance = secrets.token_hex(6)
        self._ledger = Ledger(path or os.environ[LEDGER_VARIABLE], self._instance)
        self._episode, self._turn, self._length, self._sum = "", 0, 0, ""
        self._ledger.write("create")

    def _reset(self, seed: int, episode_id: str, length: int) -> Sum:
        self._episode, self._turn, self._length, self._sum = episode_id, 0, length, first_sum(seed)
        self._ledger.write("reset", episode=episode_id, seed=seed, sum=self._sum)
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


WORLDS = (Quick, Threaded, Awaited)
