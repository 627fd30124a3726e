"""The faults that a line between client and server may have, and where they are drawn from."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

__all__ = ["CUTS", "Direction", "Drawn", "Fault", "Faults", "Kind", "Planned"]


class Direction(Enum):
    """Which way bytes go."""

    TO_SERVER = "to the server"
    TO_CLIENT = "to the client"


class Kind(Enum):
    """What happens to a connection."""

    RESET = "cut (reset)"
    GOODBYE = "cut (closed)"
    HALF_CLOSE = "half-close"
    STALL = "stall"
    BLACK_HOLE = "black hole"
    STALE = "stale bytes"


CUTS = frozenset(Kind) - {Kind.STALL}
"""The kinds after which a client needs another connection."""


@dataclass(frozen=True)
class Fault:
    """What happens once so many bytes have passed in one direction.

    Attributes:
        after: Bytes of that direction that still pass, from when the fault was laid; 0: not even the next one.
        seconds: How long a stall takes, and how long a half-closed or swallowing connection is left open at most.
        past_handshake: Count only what comes after the WebSocket handshake, which has to be over on both sides.
    """

    kind: Kind
    direction: Direction
    after: int
    seconds: float = 0.0
    past_handshake: bool = False


class Faults(Protocol):
    """Says which fault a connection is to have next."""

    def draw(self) -> Fault | None:
        """The next fault of a connection that is new, or that has outlived the one before; ``None``: no more."""


class Planned:
    """Faults one after the other, as a test wants them; a connection that finds none is left alone."""

    def __init__(self, faults: Iterable[Fault | None] = ()) -> None:
        self.faults = deque(faults)

    def draw(self) -> Fault | None:
        return self.faults.popleft() if self.faults else None


_WEIGHTS = {
    Kind.RESET: 40,
    Kind.GOODBYE: 15,
    Kind.HALF_CLOSE: 10,
    Kind.STALL: 20,
    Kind.BLACK_HOLE: 3,
    Kind.STALE: 12,
}
_EARLY_BYTES = 900
"""About what a handshake and a resume need, which are to be hit more often than their size would have it."""


class Drawn:
    """Faults at random bytes, the same for the same seed.

    Args:
        random_: Where they are drawn from.
        every_bytes: Mean number of bytes between two faults of a line.
        stall_s, swallow_s: Longest stall, and longest time that a connection swallows everything. Seconds.
    """

    def __init__(self, random_: random.Random, every_bytes: float, stall_s: float, swallow_s: float) -> None:
        self._random = random_
        self._every_bytes = every_bytes
        self._stall_s = stall_s
        self._swallow_s = swallow_s

    def draw(self) -> Fault | None:
        draw = self._random
        kind = draw.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        direction = Direction.TO_SERVER if kind is Kind.STALE else draw.choice(list(Direction))
        early = draw.random() < 0.2
        after = draw.randrange(_EARLY_BYTES) if early else int(draw.expovariate(1 / self._every_bytes))
        longest = self._stall_s if kind is Kind.STALL else self._swallow_s
        return Fault(kind, direction, after, seconds=draw.uniform(0.02, 1.0) * longest)
