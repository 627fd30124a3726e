"""What a player knows of an episode: what it asked, what was acknowledged, how it ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tests.soak.ledger import first_sum, next_sum, padding


class Ending(Enum):
    """How an episode ended for its player."""

    PLAYING = "playing"
    DONE = "done"
    LOST = "lost"
    LEFT = "left"
    """Its player went away or began another one, without an error."""
    NOT_BEGUN = "not begun"
    """The reset failed."""


@dataclass(frozen=True)
class Crossing:
    """A request that took more than one connection to be answered. Monotonic seconds.

    Attributes:
        turn: The step; 0 for the reset, -1 for anything else.
        began_at, ended_at: When it was asked and answered.
        connected_at: When the last connection that it needed was accepted.
        connections: How many it needed besides the first.
    """

    turn: int
    began_at: float
    ended_at: float
    connected_at: float
    connections: int


@dataclass(frozen=True)
class Span:
    """A request that took its time: asked and answered at. Monotonic seconds."""

    began_at: float
    ended_at: float


@dataclass(frozen=True)
class Move:
    """An answer that came from another environment than the one before.

    Attributes:
        turn: The step that was answered last; 0: the reset.
        left, found: The environments, before and after.
        asked: The request that was answered so.
    """

    turn: int
    left: str
    found: str
    asked: Span


@dataclass
class Claim:
    """One episode as its player has it.

    Attributes:
        own_doing: Reasons for losing it that the player itself is the cause of.
        reconnects: Whether its client takes a session up again; one that does not may ask another for a reset.
        shared: Whether it is played in the session that all plain requests share, which ends with its server.
        restorable: Whether its environment may be another one that was brought to the same place.
        instance: The environment that answered last.
        mood: What its environment says besides, the same in the whole episode.
        moves: The changes of environment that its player saw.
        timeouts: Requests that did not return in time, and after which the episode went on.
        hogs: Steps that raised since they wanted too much memory.
        asked, acknowledged: The highest turn that was asked for, and that was answered.
        wrong: Answers that cannot be.
    """

    player: str
    episode: str
    seed: int
    own_doing: frozenset[str] = frozenset()
    reconnects: bool = True
    shared: bool = False
    restorable: bool = False
    instance: str = ""
    mood: str = ""
    moves: list[Move] = field(default_factory=list)
    timeouts: list[Span] = field(default_factory=list)
    hogs: int = 0
    asked_at: float = 0.0
    began_at: float = field(default_factory=time.monotonic)
    ended_at: float = 0.0
    asked: int = 0
    acknowledged: int = 0
    acknowledged_reset: bool = False
    ending: Ending = Ending.PLAYING
    reason: str = ""
    wrong: list[str] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)
    _sum: str = ""

    def begun(self, seen: dict[str, Any]) -> None:
        """Take the observation of the reset."""
        self.acknowledged_reset = True
        self.instance, self._sum, self.mood = seen["instance"], first_sum(self.seed), seen.get("mood", "")
        self._compare(seen, 0, 0)

    def stepped(self, turn: int, number: int, size: int, seen: dict[str, Any]) -> None:
        """Take the observation of a step."""
        self.acknowledged = turn
        self._sum = next_sum(self._sum, number)
        self._compare(seen, turn, size)

    def asked_state(self, seen: dict[str, Any]) -> None:
        """Take the state, asked for between two steps."""
        self._see(seen.get("instance", ""))
        told = (seen.get("episode_id"), seen.get("step_count"), seen.get("sum"), seen.get("instance"))
        if told != (self.episode, self.acknowledged, self._sum, self.instance):
            self.wrong.append(f"after turn {self.acknowledged} the state is {told}")

    def end(self, ending: Ending, reason: str = "") -> None:
        """Note how it ended; only the first word counts."""
        if self.ending is Ending.PLAYING:
            self.ending, self.reason, self.ended_at = ending, reason, time.monotonic()

    def timed_out(self) -> None:
        """The request that was asked last did not return in time."""
        self.timeouts.append(Span(self.asked_at, time.monotonic()))

    def _see(self, instance: str) -> None:
        """Take note of who answered."""
        if self.restorable and instance != self.instance:
            self.moves.append(Move(self.acknowledged, self.instance, instance, Span(self.asked_at, time.monotonic())))
            self.instance = instance

    def _compare(self, seen: dict[str, Any], turn: int, size: int) -> None:
        self._see(seen.get("instance", ""))
        for name, expected in (
            ("episode", self.episode),
            ("turn", turn),
            ("sum", self._sum),
            ("instance", self.instance),
            ("padding", padding(self._sum, size)),
            ("mood", self.mood),
        ):
            if seen.get(name, "") != expected:
                self.wrong.append(
                    f"turn {turn} was answered with {name} {str(seen.get(name))[:40]}, not {expected}"[:200]
                )
