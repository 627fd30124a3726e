"""Code and terminal: one scripted episode each, of a program and of a shell in a sandbox, shown as it was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openenv.record import EventStore
from openenv.rollout import AgentFunction, RolloutReport, RolloutSettings, run_rollout

__all__ = ["Shown", "play"]

_SIEVE = """\
def primes_below(n):
    sieve = bytearray([1]) * n
    sieve[:2] = b"\\0\\0"
    for i in range(2, int(n ** 0.5) + 1):
        if sieve[i]:
            sieve[i * i :: i] = bytes(len(range(i * i, n, i)))
    return [i for i in range(n) if sieve[i]]

print(primes_below(30))
sum(primes_below(1000))"""
_TESTS = "assert primes_below(30) == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]\nassert primes_below(2) == []"
_COUNT = "find texts -name '*.txt' -exec cat {} + | wc -w > count; cat count"


@dataclass(frozen=True)
class Shown:
    """An episode that was played.

    Attributes:
        title: What was done.
        report: Its run.
        answer: What the environment said where a number was to come out.
        expected: That number, worked out here in another way.
    """

    title: str
    report: RolloutReport
    answer: str
    expected: str

    @property
    def is_right(self) -> bool:
        """Whether the task was solved and the number is right."""
        return self.report.returns == (1.0,) and self.answer == self.expected


async def play(seed: int, out: Path) -> list[Shown]:
    """Both episodes."""
    primes = [n for n in range(2, 1000) if all(n % d for d in range(2, n))]
    code = [
        {"code": "import math\nprimes = 0\nmath.sqrt(primes - 1)"},
        {"code": "primes  # still here after the error"},
        {"code": _SIEVE},
    ]
    coding = await _episode("coding", code, {"tests": _TESTS}, seed, out)
    shell = [
        {"operation": "run", "text": "ls -R texts"},
        {"operation": "run", "text": _COUNT},
        {"operation": "submit"},
    ]
    terminal = await _episode("terminal", shell, {"task": "count-words"}, seed, out)
    # of the texts of that task: 9 words, 4 words and 250 numbers
    return [
        Shown("Python in a sandbox", coding, str(_said(coding, 3, "value")), str(sum(primes))),
        Shown("A shell in a sandbox", terminal, str(_said(terminal, 2, "output")).split()[-2], str(9 + 4 + 250)),
    ]


async def _episode(
    environment: str, actions: list[dict[str, Any]], options: dict[str, Any], seed: int, out: Path
) -> RolloutReport:
    settings = RolloutSettings(
        environment=environment,
        episodes=1,
        concurrency=1,
        seed=seed,
        out=out,
        max_steps=len(actions),
        reset_options=options,
    )
    report = await run_rollout(settings, _scripted(actions))
    if report.stopped_by:
        raise report.stopped_by[0]
    return report


def _scripted(actions: list[dict[str, Any]]) -> AgentFunction:
    """An agent for one episode: these actions, one after the other."""
    rest = iter(actions)

    def scripted(observation: Mapping[str, Any]) -> Mapping[str, Any]:
        return next(rest)

    return scripted


def _said(report: RolloutReport, index: int, field: str) -> Any:
    """A field of the observation that a step was answered with, from the record."""
    with EventStore.open(report.store) as store:
        replies = [event.reply for event in store.events(report.run) if event.index == index and event.kind == "step"]
    return replies[0]["observation"].get(field) if replies else None
