"""Tasks: a scripted solver answers 200 questions of three kinds, from their text alone; two kinds it can solve."""

from __future__ import annotations

import runpy
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from openenv.errors import MissingExtra
from openenv.rollout import RolloutReport, RolloutSettings, run_rollout
from openenv.rollout.display import console
from openenv.testing import serving_command

__all__ = ["Answered", "own_python", "play", "show"]

ROOT = Path(__file__).resolve().parents[2]
SOLVER = ROOT / "envs" / "reasoning_gym" / "src" / "openenv_reasoning_gym" / "solver.py"
KINDS = (("chain_sum", 70, True), ("number_sorting", 70, True), ("gsm_symbolic", 60, False))
"""Kind of question, how many, whether the solver understands it."""


@dataclass(frozen=True)
class Answered:
    """How the solver did on one kind of question."""

    kind: str
    understood: bool
    report: RolloutReport

    @property
    def right(self) -> int:
        """Questions that the environment's own scorer calls right."""
        return sum(reward == 1.0 for reward in self.report.returns)

    @property
    def as_expected(self) -> bool:
        """Every question of a kind it understands, not nearly every one of the other; and none was lost."""
        if self.report.finished != self.report.episodes:
            return False
        return self.right == self.report.finished if self.understood else self.right <= 0.25 * self.report.finished


def own_python() -> Path:
    """The Python of the environment's own virtual environment, which is made if it is not there.

    Raises:
        MissingExtra: System packages are missing; the message says how to install them.
    """
    script = runpy.run_path(str(ROOT / "scripts" / "env_venv.py"))
    try:
        made: Path = script["make"]("reasoning_gym")
    except script["MissingSystemPackages"] as missing:
        raise MissingExtra(str(missing)) from None
    return made / "bin" / "python"


async def play(python: Path, sessions: int, seed: int, out: Path) -> list[Answered]:
    """All kinds, one after the other, against a server in the environment's own virtual environment."""
    solve = runpy.run_path(str(SOLVER))["solve"]
    screen = console(stderr=True)
    answered = []
    serve = [str(python), "-m", "openenv", "serve", "reasoning_gym", "--port", "0", "--max-sessions", str(sessions)]
    with serving_command(serve) as url:
        screen.print(f"A server process serves reasoning_gym at {url}.", markup=False)
        for kind, count, understood in KINDS:
            settings = RolloutSettings(
                environment=url,
                episodes=count,
                concurrency=sessions,
                seed=seed,
                out=out,
                reset_options={"dataset": kind, "index": "{index}", "seed": seed},
            )
            report = await run_rollout(settings, solve)
            if report.stopped_by:
                raise report.stopped_by[0]
            answered.append(Answered(kind, understood, report))
    return answered


def show(screen: Console, answered: list[Answered]) -> bool:
    """One row for each kind; whether all came out as they should."""
    total = sum(one.report.episodes for one in answered)
    title = f"{total} reasoning_gym tasks, answered from the text of the question alone"
    table = Table(box=box.ROUNDED, title=title, title_style="bold")
    table.add_column("kind", style="bold", no_wrap=True)
    for name in ("tasks", "right", "share", "mean reward"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("the solver")
    for one in answered:
        share = one.right / one.report.episodes
        words = "understands them" if one.understood else "guesses, and fails honestly"
        table.add_row(
            one.kind,
            f"{one.report.finished}",
            f"{one.right}",
            Text(f"{share:.0%}", style="bold cyan"),
            f"{one.report.mean_return().mean:.3f}",
            words if one.as_expected else Text(f"NOT AS EXPECTED: {words}", style="bold red"),
        )
    screen.print(table)
    return all(one.as_expected for one in answered)
