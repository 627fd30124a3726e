"""What the sessions of a pool have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from openenv.pool.events import Teller
from openenv.pool.metrics import Tally
from openenv.pool.placement import Placement

__all__ = ["Autoreset", "Terms"]

Autoreset = Literal["disabled", "next_step", "same_step"]


@dataclass
class Terms:
    """What each seat of a pool goes by; the fields are those of ``EnvPool`` where they have its names."""

    placement: Placement
    tally: Tally
    autoreset: Autoreset
    prefetch_resets: bool
    queue_timeout_s: float
    tell: Teller
    clock: Callable[[], float]
    chance: Callable[[], float]
