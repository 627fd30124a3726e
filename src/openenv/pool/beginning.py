"""An episode that is to begin: where that was tried, and whether it is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from openenv.errors import (
    CapacityReached,
    ConnectFailed,
    ConnectionLost,
    EpisodeLost,
    OpenEnvError,
    ServerDraining,
)
from openenv.pool.endpoint import Endpoint
from openenv.pool.terms import Terms
from openenv.protocol import Reset
from openenv.types import StepResult

__all__ = ["Beginning"]

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0


@dataclass
class Beginning:
    """A reset on its way.

    Attributes:
        request: How it begins.
        then: Told what came of it.
        queue_until: Until when it may wait for a place.
        tried: Endpoints that have none, or cannot be reached.
        timer: Set while it waits to be tried again.
    """

    request: Reset
    then: Callable[[StepResult[Any] | OpenEnvError], None]
    queue_until: float
    tried: set[Endpoint] = field(default_factory=set)
    timer: asyncio.TimerHandle | None = None
    _pause_s: float = _FIRST_PAUSE_S
    _begun_anew: bool = False

    def pause_after(self, error: OpenEnvError, endpoint: Endpoint, terms: Terms) -> float | None:
        """Seconds after which it is to be tried again, when no session came of it; ``None``: not at all.

        Args:
            error: Why none came of it.
            endpoint: Where that was.
        """
        match error:
            case CapacityReached() | ServerDraining():
                self.tried.add(endpoint)
                return 0.0 if self._has_other(terms) else self._later(terms)
            case ConnectFailed():
                self.tried.add(endpoint)
                return 0.0 if self._has_other(terms) else None
            case EpisodeLost() | ConnectionLost() if not self._begun_anew:
                self._begun_anew = True
                return 0.0
        return None

    def _has_other(self, terms: Terms) -> bool:
        return terms.placement.choose(self.tried) is not None

    def _later(self, terms: Terms) -> float | None:
        left_s = self.queue_until - terms.clock()
        if left_s <= 0:
            return None
        self.tried.clear()
        pause_s = min(left_s, self._pause_s * (0.5 + terms.chance() / 2))
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        return pause_s
