"""What players ask for, one request after the other, whatever client carries it."""

from __future__ import annotations

import random
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from tests.soak.claims import Claim, Crossing, Ending
from tests.soak.proxy import Lane

from openenv.errors import EpisodeLost, ExecutionFailed, OpenEnvError, StepTimeout

__all__ = ["Begin", "Book", "Habits", "Look", "Played", "Take", "episode"]

_SLOW_S = 0.004
_MANY_BYTES = 3000
_MANY_STEPS = 60
_HOG_MB = (400, 900)


@dataclass(frozen=True)
class Begin:
    """Reset. ``within_s`` as for a step."""

    seed: int
    episode_id: str
    length: int
    within_s: float | None = None


@dataclass(frozen=True)
class Take:
    """Step.

    Attributes:
        within_s: What the server is to give it; ``None``: as long as it takes.
        impatient: Whether that is less than it may well take.
    """

    action: dict[str, Any]
    within_s: float | None = None
    impatient: bool = False


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


@dataclass(frozen=True)
class Habits:
    """What players do in an episode besides stepping.

    Attributes:
        gives_up: The chance, for each step, that it is slow and its player has no patience.
        looks: Whether it asks for the state now and then.
        within_s: The time that all other requests are given; ``None``: as long as it takes.
        hogs: The chance, for each step, that it wants too much memory.
        longest: Most steps of an episode.
        kills: The chance that its process dies of that, and then that it does so each time.
    """

    gives_up: float = 0.0
    looks: bool = True
    within_s: float | None = None
    hogs: float = 0.0
    longest: int = _MANY_STEPS
    kills: tuple[float, float] = (0.0, 0.0)


def episode(claim: Claim, book: Book, random_: random.Random, habits: Habits) -> Generator[Ask, dict[str, Any], None]:
    """One episode: yields what to ask, is sent what was answered, and notes it in the claim."""
    length = random_.randint(1, habits.longest)
    claim.begun((yield from _asked(claim, Begin(claim.seed, claim.episode, length, habits.within_s))))
    for turn in range(1, length + 1):
        number, size, slow_s = random_.getrandbits(31), 0, 0.0
        if random_.random() < 0.03:
            size = random_.randrange(_MANY_BYTES)
        if random_.random() < 0.05:
            slow_s = random_.uniform(0, _SLOW_S) * random_.choice((1, 1, 10))
        within_s, impatient = habits.within_s, random_.random() < habits.gives_up
        if impatient:
            slow_s, within_s = 0.05, random_.uniform(0.001, 0.03)
        action = {"number": number, "episode": claim.episode, "turn": turn, "slow_s": slow_s, "padding": size}
        if random_.random() < habits.hogs:
            action |= _hogging(random_, habits)
        claim.asked = turn
        claim.stepped(turn, number, size, (yield from _asked(claim, Take(action, within_s, impatient))))
        book.steps += 1  # several threads may count: a lost one is made up for by the next
        if habits.looks and random_.random() < 0.02:
            claim.asked_state((yield from _asked(claim, Look())))
    claim.end(Ending.DONE)


def _hogging(random_: random.Random, habits: Habits) -> dict[str, Any]:
    dies, again = (random_.random() < chance for chance in habits.kills)
    return {"hog_mb": random_.randint(*_HOG_MB), "dies": "" if not dies else "always" if again else "once"}


def _asked(claim: Claim, ask: Ask) -> Generator[Ask, dict[str, Any], dict[str, Any]]:
    """Ask; what did not return in time or had too little memory, and left the episode where it was, once more."""
    while True:
        claim.asked_at = time.monotonic()
        try:
            return (yield ask)
        except StepTimeout as error:
            claim.timed_out()
            if isinstance(ask, Begin):
                continue
            if not (isinstance(ask, Take) and error.details["usable"]):
                yield Look()  # is told what became of the episode
                raise
            ask = Take({**ask.action, "slow_s": 0.0}, None if ask.impatient else ask.within_s)
        except ExecutionFailed:
            if not (isinstance(ask, Take) and ask.action.get("hog_mb") and not ask.action["dies"]):
                raise
            claim.hogs += 1
            ask = Take({**ask.action, "hog_mb": 0}, ask.within_s)


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

    def failed(self, error: OpenEnvError) -> Ask | None:
        """Take an error; what to ask next, or ``None`` if the episode ended with it."""
        try:
            return self._now(self._script.throw(error))
        except OpenEnvError as raised:
            self._end(raised)
            return None

    def _end(self, error: OpenEnvError) -> None:
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
