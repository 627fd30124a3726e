"""What players ask for, one request after the other, whatever client carries it."""

from __future__ import annotations

import random
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from tests.soak.claims import Claim, Crossing, Ending
from tests.soak.proxy import Lane

from openenv.errors import EpisodeLost, OpenEnvError

__all__ = ["Begin", "Book", "Look", "Played", "Take", "episode"]

_SLOW_S = 0.004
_MANY_BYTES = 3000
_MANY_STEPS = 60


@dataclass(frozen=True)
class Begin:
    """Reset."""

    seed: int
    episode_id: str
    length: int


@dataclass(frozen=True)
class Take:
    """Step.

    Attributes:
        within_s: How long its player waits for the answer before it gives up; ``None``: as long as it takes.
    """

    action: dict[str, Any]
    within_s: float | None = None


@dataclass(frozen=True)
class Look:
    """State."""


Ask = Begin | Take | Look


@dataclass
class Book:
    """The claims of all players."""

    claims: list[Claim] = field(default_factory=list)
    steps: int = 0

    def begin(self, player: str, random_: random.Random, own_doing: frozenset[str]) -> Claim:
        """A claim to an episode that nobody has heard of before."""
        claim = Claim(player, f"{player}-{random_.getrandbits(64):016x}", random_.getrandbits(31), own_doing)
        self.claims.append(claim)
        return claim


def episode(
    claim: Claim, book: Book, random_: random.Random, gives_up: float = 0.0, looks: bool = True
) -> Generator[Ask, dict[str, Any], None]:
    """One episode: yields what to ask, is sent what was answered, and notes it in the claim.

    Args:
        gives_up: The chance, for each step, that it is slow and its player has no patience.
        looks: Whether it asks for the state now and then.
    """
    length = random_.randint(1, _MANY_STEPS)
    claim.begun((yield Begin(claim.seed, claim.episode, length)))
    for turn in range(1, length + 1):
        number, size, slow_s, within_s = random_.getrandbits(31), 0, 0.0, None
        if random_.random() < 0.03:
            size = random_.randrange(_MANY_BYTES)
        if random_.random() < 0.05:
            slow_s = random_.uniform(0, _SLOW_S) * random_.choice((1, 1, 10))
        if random_.random() < gives_up:
            slow_s, within_s = 0.05, random_.uniform(0.001, 0.03)
        action = {"number": number, "episode": claim.episode, "turn": turn, "slow_s": slow_s, "padding": size}
        claim.asked = turn
        claim.stepped(turn, number, size, (yield Take(action, within_s)))
        book.steps += 1  # several threads may count: a lost one is made up for by the next
        if looks and random_.random() < 0.02:
            claim.asked_state((yield Look()))
    claim.end(Ending.DONE)


class Played:
    """One episode being played on a lane; the same for clients that are awaited and those that are not."""

    def __init__(self, claim: Claim, script: Generator[Ask, dict[str, Any], None], lane: Lane) -> None:
        self.claim = claim
        self._script = script
        self._lane = lane
        self._asked: Ask | None = None
        self._began_at = 0.0
        self._connections = 0

    def first(self) -> Ask | None:
        """What to ask first."""
        return self._now(next(self._script))

    def answered(self, seen: dict[str, Any]) -> Ask | None:
        """Take an answer; what to ask next, or ``None`` at the end."""
        self._cross()
        try:
            return self._now(self._script.send(seen))
        except StopIteration:
            return None

    def failed(self, error: OpenEnvError) -> None:
        """Note that the episode ended with an error."""
        reason = str(error.details.get("reason", "")) if isinstance(error, EpisodeLost) else error.code
        if isinstance(self._asked, Begin):
            self.claim.end(Ending.NOT_BEGUN, reason)
            return
        if not isinstance(error, EpisodeLost):
            self.claim.wrong.append(f"{type(error).__name__} after turn {self.claim.acknowledged}: {error}")
        self.claim.end(Ending.LOST, reason)

    def _now(self, ask: Ask) -> Ask:
        self._asked, self._began_at, self._connections = ask, time.monotonic(), len(self._lane.accepted)
        return ask

    def _cross(self) -> None:
        """Note what a request cost that needed another connection."""
        new = len(self._lane.accepted) - self._connections
        if new <= 0 or self._connections == 0:
            return
        turn = {Begin: 0, Take: self.claim.asked, Look: -1}[type(self._asked)]
        self.claim.crossings.append(Crossing(turn, self._began_at, time.monotonic(), self._lane.accepted[-1], new))
