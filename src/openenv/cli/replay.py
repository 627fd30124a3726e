"""``openenv replay``: play recorded episodes again and compare."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openenv.cli.token import shown_to
from openenv.settings import load_settings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from openenv.rollout.replay import ReplayReport

__all__ = ["replay"]

_SHOWN = 20  # episodes


def replay(
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="Beginning of the run's id; the newest run if not given.")
    ] = "",
    episode: Annotated[
        str | None, typer.Option(help="Id of the one episode to play.", show_default="all of the run")
    ] = None,
    environment: Annotated[
        str | None,
        typer.Option(
            metavar="ENV|URL",
            help="Name or path of an environment, or address of a server.",
            show_default="as recorded",
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, help="Sessions at the same time.", show_default="8, or fewer if the server takes fewer"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory to record it into, as a run of its own.", show_default="not recorded")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store", help="Directory of the runs, or of a server's journal.", show_default="OPENENV_STORE, or runs"
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Play recorded episodes again and compare every answer.

    Seed, options and actions are those of the record. Told is the first answer of each episode that is another one.
    The exit code is 0 if all answers are the same, 1 if one differs, and 2 after an error.
    """
    from openenv.rollout.display import console
    from openenv.rollout.replay import ReplaySettings, replay_run

    settings = ReplaySettings(
        run=run,
        store=store or load_settings().store,
        episode=episode,
        environment=environment,
        concurrency=concurrency,
        out=out,
        headers=shown_to(environment),
    )
    screen = console(stderr=True)
    with _shown_progress(screen) as show:
        report = asyncio.run(replay_run(settings, on_progress=show))
    console().print(_table(report))
    _print_episodes(console(), report)
    for warning in report.warnings:
        screen.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    if report.count("different") and report.deterministic is False:
        screen.print("The environment does not say that it is deterministic.", markup=False, soft_wrap=True)
    raise typer.Exit(2 if report.count("failed") else 1 if report.count("different") else 0)


@contextmanager
def _shown_progress(screen: Console) -> Iterator[Callable[[int, int], None] | None]:
    """What to call so that people see how far it is; a log needs no such thing."""
    if not screen.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn())
    with Progress(*columns, console=screen, transient=True, expand=True) as bar:
        task = bar.add_task("replay", total=None)
        yield lambda over, episodes: bar.update(task, completed=over, total=episodes)


def _table(report: ReplayReport) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    title = Text.assemble((report.environment, "bold"), f" · replay of run {report.run}")
    table = Table(box=box.ROUNDED, show_header=False, title=title, title_justify="left", min_width=60)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("episodes", f"{len(report.episodes):,}")
    table.add_row("  same", f"{report.count('same'):,}")
    for outcome in ("different", "failed", "left out"):
        if count := report.count(outcome):
            table.add_row(f"  {outcome}", Text(f"{count:,}", style=_STYLES[outcome]))
    table.add_row("answers", f"{sum(one.compared for one in report.episodes):,} compared")
    table.add_row("time", f"{report.elapsed_s:,.1f} s")
    if report.recorded_as:
        table.add_row("run", report.recorded_as)
    return table


_STYLES = {"same": "", "different": "red", "failed": "red", "left out": "yellow"}


def _print_episodes(screen: Console, report: ReplayReport) -> None:
    """Tell of the episodes that there is something to tell of, one line each."""
    from rich.text import Text

    from openenv.rollout.passages import printable

    told = [one for one in report.episodes if one.told]
    for one in told[:_SHOWN]:
        line = Text.assemble(
            (printable(one.episode), "bold"), " · ", (one.outcome, _STYLES[one.outcome]), f" · {printable(one.told)}"
        )
        screen.print(line, soft_wrap=True)
    if len(told) > _SHOWN:
        screen.print(f"and {len(told) - _SHOWN:,} more episodes; name one with --episode", markup=False)
