"""What a soak found, in words and numbers."""

from __future__ import annotations

import statistics
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.soak.claims import Claim, Ending
from tests.soak.faults import Kind
from tests.soak.judge import Verdict
from tests.soak.proxy import Happened, Lane

__all__ = ["Found", "told"]

_SHOWN = 10


@dataclass(frozen=True)
class Found:
    """All that a run leaves behind.

    Attributes:
        seconds: How long players played.
        lanes: By name of the player.
        wrong: What is wrong besides the verdict.
        refused: Sessions that could not be opened or closed, by error code.
        queued: Notices of positions in the queue.
    """

    seed: int
    seconds: float
    drains: int
    lanes: dict[str, Lane]
    claims: list[Claim]
    verdict: Verdict
    wrong: list[str]
    refused: Counter[str]
    queued: int
    ledger: str

    @property
    def differences(self) -> list[str]:
        """All that must not be."""
        return self.verdict.differences + self.wrong


@dataclass
class _Cost:
    """What one kind of fault cost the requests that met it."""

    times: int = 0
    connections: int = 0
    resent: int = 0
    replayed: int = 0
    waits_ms: list[float] | None = None


def told(found: Found) -> str:
    """The report."""
    verdict = found.verdict
    endings = Counter(claim.ending for claim in found.claims)
    lines = [
        f"{verdict.steps} steps in {found.seconds:.0f} s ({verdict.steps / found.seconds:.0f} steps/s), "
        f"{verdict.episodes} episodes on {verdict.instances} environments, {found.drains} drains",
        "episodes: " + ", ".join(f"{endings[one]} {one.value}" for one in Ending if endings[one]),
        "lost: " + _counted(verdict.lost.elements()),
        "not begun: " + _counted(claim.reason for claim in found.claims if claim.ending is Ending.NOT_BEGUN),
        "refused: " + _counted(found.refused.elements()),
        f"queue: {found.queued} times somebody was told of a position",
        "",
        "fault              times  reconnects  resent  replayed  wait ms p50     max",
    ]
    for kind, cost in _costs(found).items():
        waits = cost.waits_ms or [0.0]
        lines.append(
            f"{kind.value:<17} {cost.times:>6} {cost.connections:>11} {cost.resent:>7} {cost.replayed:>9} "
            f"{statistics.median(waits):>12.0f} {max(waits):>7.0f}"
        )
    late = sum(lane.stale_after_resume for lane in found.lanes.values())
    lines += [
        f"bytes of a stale connection arrived {late} times after a resume",
        "resent: requests that needed another connection; replayed: those among them that had run already and got "
        "the kept answer",
        "",
    ]
    if not found.differences:
        lines.append("nothing ran twice, nothing was lost or begun anew in silence, nothing leaked")
    else:
        lines.append(f"WRONG: {len(found.differences)} differences, seed {found.seed}, ledger {found.ledger}")
        lines += [f"  {difference}" for difference in found.differences[:_SHOWN]]
    return "\n".join(lines)


def _counted(words: Iterable[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in Counter(words).most_common()) or "none"


def _costs(found: Found) -> dict[Kind, _Cost]:
    """What each kind of fault cost: a request's cost counts for the fault that began it."""
    costs = {kind: _Cost(waits_ms=[]) for kind in Kind}
    for lane in found.lanes.values():
        for one in lane.happened:
            costs[one.kind].times += 1
    for claim in found.claims:
        lane = found.lanes.get(claim.player)
        if lane is None:
            continue
        for crossing in claim.crossings:
            fault = _first_within(lane.happened, crossing.began_at, crossing.ended_at)
            if fault is None:
                continue
            cost = costs[fault.kind]
            cost.connections += crossing.connections
            assert cost.waits_ms is not None
            cost.waits_ms.append(1000 * (crossing.ended_at - crossing.began_at))
            if crossing.turn > 0:
                ran_at = found.verdict.step_times.get((claim.episode, crossing.turn))
                cost.resent += 1
                cost.replayed += ran_at is not None and ran_at < crossing.connected_at
    return costs


def _first_within(happened: list[Happened], began_at: float, ended_at: float) -> Happened | None:
    """The first fault of a lane in that time, or the last one before it, which the request found when it began."""
    start = bisect_left(happened, began_at, key=lambda one: one.at)
    end = bisect_right(happened, ended_at, key=lambda one: one.at)
    if start < end:
        return happened[start]
    return happened[start - 1] if start else None
