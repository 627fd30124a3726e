"""What became of worlds whose processes were killed, in words and numbers."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.soak.claims import Claim, Ending
from tests.soak.deaths import How
from tests.soak.judge import Verdict

__all__ = ["Fate", "told_fates"]

_SHOWN = 10


@dataclass(frozen=True)
class Fate:
    """All that one world leaves behind.

    Attributes:
        done: What was done to its processes.
        wrong: What is wrong besides the verdict.
    """

    world: str
    journal_mode: str
    cuts: int
    done: Counter[How]
    claims: list[Claim]
    verdict: Verdict
    wrong: list[str]
    ledger: str

    @property
    def differences(self) -> list[str]:
        """All that must not be."""
        return self.verdict.differences + self.wrong


def told_fates(fates: list[Fate], seed: int) -> str:
    """The report."""
    lines: list[str] = []
    for fate in fates:
        verdict, endings = fate.verdict, Counter(claim.ending for claim in fate.claims)
        restored = {how: len(costs) for how, costs in verdict.restored.items()}
        by_server = restored.get(How.SERVER, 0) + restored.get(How.DRAINED, 0)
        lines += [
            f"{fate.world} (journal {fate.journal_mode}): {verdict.steps} steps, {fate.cuts} cuts; "
            + _counted(how.value for how in fate.done.elements()),
            "  episodes: " + ", ".join(f"{endings[one]} {one.value}" for one in Ending if endings[one]),
            f"  restored: {sum(restored.values()) - by_server} after a death of their worker, "
            f"{by_server} by the next server",
            "  lost: " + _counted(verdict.lost.elements()),
            "  not begun: " + _counted(claim.reason for claim in fate.claims if claim.ending is Ending.NOT_BEGUN),
            f"  steps that raised for lack of memory: {sum(claim.hogs for claim in fate.claims)}, "
            f"over a deadline: {sum(len(claim.timeouts) for claim in fate.claims)}",
        ]
    lines += ["", "death                times  restored  answered after ms p50     max"]
    for how in How:
        costs = [1000 * cost for fate in fates for cost in fate.verdict.restored.get(how, [])]
        times = str(sum(fate.done[how] for fate in fates)) if how not in (How.MEMORY, How.DEADLINE) else "-"
        lines.append(
            f"{how.value:<19} {times:>6} {len(costs):>9} "
            f"{statistics.median(costs or [0.0]):>22.0f} {max(costs, default=0.0):>7.0f}"
        )
    lines += ["answered after: from the death, or the request that met it, to that request's answer", ""]
    wrong = [(fate, line) for fate in fates for line in fate.differences]
    if not wrong:
        lines.append("every episode went on where it was or was lost with its reason; nothing was left behind")
    else:
        lines.append(f"WRONG: {len(wrong)} differences, seed {seed}")
        for fate in fates:
            lines += [f"  {fate.world}: {line}" for line in fate.differences[:_SHOWN]]
            lines += [f"  ledger: {fate.ledger}"] if fate.differences else []
    return "\n".join(lines)


def _counted(words: Iterable[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in Counter(words).most_common()) or "none"
