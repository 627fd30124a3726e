"""Plays cards, tasks, code and a terminal through real servers, and checks that the numbers are right.

``make demo`` runs it. Blackjack is played by two agents over many sessions at once, and their mean returns are held
against the values that follow from the rules by dynamic programming; a scripted solver answers 200 reasoning_gym
tasks; then one episode of Python code and one of a shell, each in a sandbox; and a plot of the card games. Every step
is recorded. The seed is fixed, so the numbers are the same every time.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from pathlib import Path

from acts import cards, sandboxed, tasks

from openenv.cli import main as openenv
from openenv.errors import MissingExtra, OpenEnvError
from openenv.rollout.display import console

SEED = 20260101


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--episodes", type=int, default=20_000, help="card games for each agent (default: 20000)")
    parser.add_argument("--sessions", type=int, default=64, help="card games at a time (default: 64)")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where to record (default: runs)")
    parser.add_argument("--cards-only", action="store_true", help="leave out tasks, code, terminal and plot")
    options = parser.parse_args()
    try:
        right = play(options)
    except OpenEnvError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0 if right else 1


def play(options: argparse.Namespace) -> bool:
    """All acts; whether all numbers were right."""
    screen, out = console(), options.out
    place = [] if out == Path("runs") else ["--store", str(out)]
    python = None
    if not options.cards_only:
        try:
            python = tasks.own_python()
        except MissingExtra as missing:
            screen.print(f"The tasks are left out: {missing}\n", style="yellow", markup=False)

    played = asyncio.run(cards.play(options.episodes, options.sessions, SEED, out))
    screen.print()
    right = [cards.show(screen, played)]
    if python is not None:
        answered = asyncio.run(tasks.play(python, 8, SEED, out))
        screen.print()
        right.append(tasks.show(screen, answered))
    if not options.cards_only:
        for shown in asyncio.run(sandboxed.play(SEED, out)):
            screen.rule(shown.title)
            openenv(["trajectories", "show", shown.report.run, *place])
            verdict = "right" if shown.is_right else f"WRONG: it should be {shown.expected}"
            screen.print(f"The answer, {shown.answer}, is {verdict}.", style="green" if shown.is_right else "bold red")
            right.append(shown.is_right)
        screen.rule("Pictures of the card games")
        openenv(["plot", *(one.report.run for one in played), "--out", str(out / "plots"), *place])

    steps = sum(one.report.steps for one in played)
    screen.print(f"\nEvery one of the {steps:,} moves at cards is in {out / 'events.sqlite'}, and all else beside it.")
    screen.print("To look at them:\n")
    commands = Path(sys.executable).parent / "openenv"
    name = str(commands.relative_to(Path.cwd())) if commands.is_relative_to(Path.cwd()) else "openenv"
    for command in (["list"], ["show", played[-1].report.run]):
        screen.print(f"  {shlex.join([name, 'trajectories', *command, *place])}", markup=False, soft_wrap=True)
    return all(right)


if __name__ == "__main__":
    raise SystemExit(main())
