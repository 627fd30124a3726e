"""Plays blackjack through a real server with two agents, and holds what they earn against the exact values.

``make demo`` runs it. It starts a server process, plays many games at once over 64 sessions, first with an agent that
moves at random, then with the best strategy there is, and compares the mean returns with the values that follow from
the rules of the game by dynamic programming. The seed is fixed, so the numbers are the same every time.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich import box
from rich.table import Table
from rich.text import Text

from openenv.errors import OpenEnvError
from openenv.rollout import RANDOM, AgentFunction, RolloutReport, RolloutSettings, run_rollout
from openenv.rollout.display import console, shown_progress
from openenv.rollout.target import served
from openenv_blackjack.exact import exact_value
from openenv_blackjack.strategy import best

SEED = 20260101
FURTHEST = 4.0  # standard errors; chance alone goes beyond them once in 16,000 runs


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


async def play(episodes: int, sessions: int, out: Path) -> list[Played]:
    """Both agents, one after the other, against one server process."""
    screen = console(stderr=True)
    agents: list[tuple[str, str | AgentFunction, Literal["random", "best"]]] = [
        ("random moves", RANDOM, "random"),
        ("best strategy", best, "best"),
    ]
    played = []
    async with served("blackjack", sessions) as url:
        screen.print(f"A server process serves blackjack at {url}.", markup=False)
        for title, agent, policy in agents:
            screen.print(f"Playing {episodes:,} games with {title}, {sessions} at a time.", markup=False)
            settings = RolloutSettings(environment=url, episodes=episodes, concurrency=sessions, seed=SEED, out=out)
            with shown_progress(screen, title) as show:
                report = await run_rollout(settings, agent, on_progress=show)
            if report.stopped_by:
                raise report.stopped_by[0]
            if report.failed:
                raise OpenEnvError(f"{report.failed:,} games failed: {dict(report.errors)}; see the run {report.run}")
            played.append(Played(title, exact_value(policy), report))
    return played


def results(played: list[Played]) -> Table:
    """One row for each agent."""
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
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--episodes", type=int, default=20_000, help="games for each agent (default: 20000)")
    parser.add_argument("--sessions", type=int, default=64, help="games at a time (default: 64)")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where to record (default: runs)")
    options = parser.parse_args()
    try:
        played = asyncio.run(play(options.episodes, options.sessions, options.out))
    except OpenEnvError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130

    screen = console()
    screen.print()
    screen.print(results(played))
    steps = sum(one.report.steps for one in played)
    agreed = all(one.agrees for one in played)
    verdict = ("They agree with the exact values.", "green") if agreed else ("They DISAGREE.", "bold red")
    screen.print(Text.assemble(verdict, f" SE: standard errors of the mean; up to {FURTHEST:.0f} count as agreement."))
    screen.print(
        f"\nEvery one of the {steps:,} moves is in {options.out / 'events.sqlite'}. To look at them:\n", markup=False
    )
    commands = Path(sys.executable).parent / "openenv"
    name = shlex.quote(str(commands.relative_to(Path.cwd()) if commands.is_relative_to(Path.cwd()) else "openenv"))
    place = "" if options.out == Path("runs") else f" --store {shlex.quote(str(options.out))}"
    screen.print(f"  {name} trajectories list{place}", markup=False, soft_wrap=True)
    screen.print(f"  {name} trajectories show {played[-1].report.run}{place}", markup=False, soft_wrap=True)
    return 0 if agreed else 1


if __name__ == "__main__":
    raise SystemExit(main())
