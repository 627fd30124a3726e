"""Forged runs: a ledger, and the claims that go with it, to try the judge on."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.soak.claims import Claim, Ending
from tests.soak.deaths import Death
from tests.soak.judge import Judge, Outage, Verdict
from tests.soak.ledger import Entry, first_sum, next_sum

__all__ = ["SEED", "Story"]

SEED = 5


@dataclass
class Story:
    """A ledger and the claims that go with it."""

    entries: list[Entry] = field(default_factory=list)
    claims: dict[str, Claim] = field(default_factory=dict)

    def write(self, instance: str, did: str, **fields: str | int) -> Entry:
        entry = Entry(at=time.monotonic(), pid=1, instance=instance, did=did, **fields)  # type: ignore[arg-type]
        self.entries.append(entry)
        return entry

    def episode(self, instance: str, name: str, turns: int) -> None:
        """An episode that went well, for its environment as for its player."""
        claim = self.claims[name] = Claim("player", name, SEED)
        sum_ = first_sum(SEED)
        self.write(instance, "reset", episode=name, seed=SEED, sum=sum_)
        claim.begun({"instance": instance, "episode": name, "turn": 0, "sum": sum_})
        for turn in range(1, turns + 1):
            sum_ = next_sum(sum_, turn)
            self.step(instance, name, turn, sum_)
            claim.asked = turn
            claim.stepped(turn, turn, 0, {"instance": instance, "episode": name, "turn": turn, "sum": sum_})
        claim.end(Ending.DONE)

    def step(self, instance: str, name: str, turn: int, sum_: str) -> Entry:
        where = {"episode": name, "turn": turn, "meant_episode": name, "meant_turn": turn}
        return self.write(instance, "step", **where, number=turn, sum=sum_)  # type: ignore[arg-type]

    def find(self, did: str, turn: int = 0) -> int:
        return next(i for i, one in enumerate(self.entries) if one.did == did and one.turn == turn)

    def verdict(self, *outages: Outage, deaths: Iterable[Death] = ()) -> Verdict:
        return Judge(self.claims.values(), outages, deaths).judge(self.entries)
