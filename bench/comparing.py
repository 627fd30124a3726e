"""Rounds of two sides, and what they say: medians, and the ratio pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median

__all__ = ["Better", "Comparison"]


class Better(Enum):
    """Which way a number is good."""

    LESS = "less"
    MORE = "more"


@dataclass(frozen=True)
class Comparison:
    """The same measurement on both sides, one pair a round.

    Attributes:
        peer, ours: One number a round, in the same order.
        better: Which way the numbers are good.
    """

    peer: Sequence[float]
    ours: Sequence[float]
    better: Better

    def __post_init__(self) -> None:
        if not self.peer or len(self.peer) != len(self.ours):
            raise ValueError(f"rounds come in pairs, not {len(self.peer)} of the peer and {len(self.ours)} of ours")

    @property
    def peer_median(self) -> float:
        """The middle of the peer's rounds."""
        return median(self.peer)

    @property
    def our_median(self) -> float:
        """The middle of our rounds."""
        return median(self.ours)

    @property
    def ratios(self) -> list[float] | None:
        """How many times better ours is, round by round; ``None`` if a number is not above 0, as with no threads."""
        if min(*self.peer, *self.ours) <= 0:
            return None
        pairs = zip(self.peer, self.ours, strict=True)
        return [peer / ours if self.better is Better.LESS else ours / peer for peer, ours in pairs]

    @property
    def ratio(self) -> float | None:
        """The middle of ``ratios``. What slowed both sides of a round alike is not in it."""
        ratios = self.ratios
        return None if ratios is None else median(ratios)
