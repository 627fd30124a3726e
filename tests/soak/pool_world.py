"""An environment whose every answer depends on all that was asked before, in order, and which writes nothing down."""

from __future__ import annotations

import secrets
from typing import ClassVar

from tests.soak.ledger import first_sum, next_sum

from openenv import Action, Environment, Observation, State


class Count(Action):
    """One number."""

    number: int


class Chain(Observation):
    """How many actions there were, and the checksum of them all."""

    instance: str
    turn: int
    sum: str


class Chained(Environment[Count, Chain, State]):
    """An action that ran twice, not at all or out of order shows in every later answer."""

    SUPPORTS_CONCURRENT_SESSIONS: ClassVar[bool] = True
    deterministic: ClassVar[bool] = True
    volatile: ClassVar[frozenset[str]] = frozenset({"instance"})

    def __init__(self) -> None:
        self._instance = secrets.token_hex(6)
        self._turn, self._length, self._sum = 0, 0, ""

    def reset(self, seed: int = 0, length: int = 0) -> Chain:
        self._turn, self._length, self._sum = 0, length, first_sum(seed)
        return self._here()

    def step(self, action: Count) -> Chain:
        self._turn += 1
        self._sum = next_sum(self._sum, action.number)
        return self._here()

    def _here(self) -> Chain:
        return Chain(
            instance=self._instance,
            turn=self._turn,
            sum=self._sum,
            reward=float(self._turn),
            done=self._turn == self._length,
        )

    @property
    def state(self) -> State:
        return State(step_count=self._turn)
