"""Cards: two agents play blackjack through a real server, and what they earn is held against the exact values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from openenv.errors import OpenEnvError
from openenv.rollout import RANDOM, AgentFunction, RolloutReport, RolloutSettings, run_rollout
from openenv.rollout.display import console, shown_progress
from openenv.rollout.target import served
from openenv_blackjack.exact import exact_value
from openenv_blackjack.strategy import best

__all__ = ["FURTHEST", "Played", "play", "show"]

FURTHEST = 4.0  # standard errors; chance alone goes beyond them once in 16,000 runs

_AGENTS: list[tuple[str, str | AgentFunction, Literal["random", "best"]]] = [
    ("random moves", RANDOM, "random"),
    ("best strategy", best, "best"),
]


@dataclass(frozen=True)
class Played:
    """What an agent earned, beside what it should earn."""

    title: str
    exact: float
    report: RolloutReport

    @property
    def distance(self) -> float:
        """From the exact value, in standard errors of the mean; positive if it earned more."""
        estimate = self.report.mean_return()
        return (estimate.mean - self.exact) / estimate.standard_error

    @property
    def agrees(self) -> bool:
        """Whether chance explains the distance."""
        return abs(self.distance) <= FURTHEST


async def play(episodes: int, sessions: int, seed: int, out: Path) -> list[Played]:
    """Both agents, one after the other, against one server process."""
    screen = console(stderr=True)
    played = []
    async with served("blackjack", sessions) as (url, _):
        screen.print(f"A server process serves blackjack at {url}.", markup=False)
        for title, agent, policy in _AGENTS:
            screen.print(f"Playing {episodes:,} games with {title}, {sessions} at a time.", markup=False)
            settings = RolloutSettings(environment=url, episodes=episodes, concurrency=sessions, seed=seed, out=out)
            with shown_progress(screen, title) as progress:
                report = await run_rollout(settings, agent, on_progress=progress)
            if report.stopped_by:
                raise report.stopped_by[0]
            if report.failed:
                raise OpenEnvError(f"{report.failed:,} games failed: {dict(report.errors)}; see the run {report.run}")
            played.append(Played(title, exact_value(policy), report))
    return played


def show(screen: Console, played: list[Played]) -> bool:
    """One row for each agent; whether all agree."""
    table = Table(box=box.ROUNDED, title="Blackjack, played through a real server", title_style="bold")
    table.add_column("agent", style="bold", no_wrap=True)
    for name in ("games", "mean return", "95 % interval", "exact value", "apart", "games/s"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("agree")
    for one in played:
        estimate = one.report.mean_return()
        table.add_row(
            one.title,
            f"{one.report.finished:,}",
            Text(f"{estimate.mean:+.4f}", style="bold cyan"),
            f"{estimate.interval.low:+.4f} to {estimate.interval.high:+.4f}",
            Text(f"{one.exact:+.4f}", style="bold magenta"),
            f"{abs(one.distance):.1f} SE",
            f"{one.report.episodes_per_s:,.0f}",
            Text("yes", style="green") if one.agrees else Text("NO", style="bold red"),
        )
    screen.print(table)
    agreed = all(one.agrees for one in played)
    verdict = ("They agree with the exact values.", "green") if agreed else ("They DISAGREE.", "bold red")
    screen.print(Text.assemble(verdict, f" SE: standard errors of the mean; up to {FURTHEST:.0f} count as agreement."))
    return agreed
