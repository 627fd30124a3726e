"""A rollout in the terminal: its progress while it runs, its report as a table."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from openenv.rollout.report import Progress, RolloutReport
    from openenv.rollout.statistics import Estimate

__all__ = ["console", "number", "report_table", "shown_progress"]

_LINE_EVERY_S = 10.0  # where there is no terminal
_WIDTH = 140  # there, too: rich would take it for 80 columns wide


def console(*, stderr: bool = False) -> Console:
    """A console that also writes readable tables where there is no terminal."""
    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=_WIDTH)


@contextmanager
def shown_progress(
    screen: Console, title: str, *, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[Progress], None]]:
    """What to call with the progress of a rollout so that people see it.

    In a terminal it is a bar. Elsewhere, as in a log, it is a plain line now and then.

    Args:
        screen: Where to show it.
        title: What is being played.
        clock: Seconds that never go back.
    """
    if not screen.is_terminal:
        yield _Lines(screen, title, clock)
        return
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} episodes/s", style="cyan"),
        TextColumn("mean return {task.fields[mean]}", style="bold"),
        TextColumn("{task.fields[failed]}", style="red"),
        TimeRemainingColumn(compact=True),
        console=screen,
        transient=True,
        expand=True,
    )
    with bar:
        task = bar.add_task(escape(title), total=None, rate="-", mean="-", failed="")

        def show(progress: Progress) -> None:
            bar.update(
                task,
                total=progress.episodes,
                completed=progress.played,
                rate=f"{progress.episodes_per_s:,.0f}",
                mean=number(progress.mean_return),
                failed=f"{progress.failed:,} failed" if progress.failed else "",
            )

        yield show


class _Lines:
    def __init__(self, screen: Console, title: str, clock: Callable[[], float]) -> None:
        self._screen, self._title, self._clock = screen, title, clock
        self._said = clock()

    def __call__(self, progress: Progress) -> None:
        if self._clock() - self._said < _LINE_EVERY_S:
            return
        self._said = self._clock()
        failed = f", {progress.failed:,} failed" if progress.failed else ""
        self._screen.print(
            f"{self._title}: {progress.played:,} of {progress.episodes:,} episodes{failed}, "
            f"{progress.episodes_per_s:,.0f} episodes/s, mean return {number(progress.mean_return)}",
            markup=False,
            soft_wrap=True,
        )


def report_table(report: RolloutReport) -> Table:
    """The report as a table of two columns."""
    table = Table(box=box.ROUNDED, show_header=False, title=_title(report), title_justify="left", min_width=60)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    if report.returns:
        table.add_row("mean return", _with_interval(report.mean_return()))
        table.add_row("mean length", _with_interval(report.mean_length(), " steps"))
        if report.cut:
            table.add_row("cut by --max-steps", f"{report.cut:,} of them; they count in the means")
    else:
        table.add_row("mean return", "none: no episode was finished")
    table.add_section()
    table.add_row("episodes", _episodes(report))
    for code, count in sorted(report.errors.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(f"  {code}", Text(f"{count:,}", style="red"))
    if report.failed:
        rate = report.failure_rate()
        table.add_row("failure rate", f"{_percent(rate.low)} to {_percent(rate.high)} (95 %)")
    table.add_section()
    table.add_row("steps", f"{report.steps:,}")
    table.add_row("speed", f"{report.episodes_per_s:,.0f} episodes/s, {report.steps_per_s:,.0f} steps/s")
    table.add_row("time", f"{report.elapsed_s:,.1f} s with {report.sessions} sessions")
    table.add_row("seed", str(report.seed))
    table.add_row("run", Text(f"{report.run} in {report.store}"))
    return table


def number(value: float) -> str:
    """A mean in few characters: three decimals, or six figures where that is more."""
    if math.isnan(value):
        return "-"
    return f"{value:+.3f}" if abs(value) < 1000 else f"{value:+.6g}"


def _title(report: RolloutReport) -> Text:
    styles = {"complete": "bold green", "interrupted": "bold yellow", "failed": "bold red"}
    return Text.assemble(
        (report.environment, "bold"), " · ", (report.agent, "bold"), " · ", (report.status, styles[report.status])
    )


def _with_interval(estimate: Estimate, unit: str = "") -> Text:
    mean = number(estimate.mean) if not unit else f"{estimate.mean:,.2f}"
    if math.isinf(estimate.half_width):
        return Text.assemble((f"{mean}{unit}", "bold"), "  (one episode, so no interval)")
    interval = estimate.interval
    low, high = (number(end) if not unit else f"{end:,.2f}" for end in (interval.low, interval.high))
    return Text.assemble((f"{mean}{unit}", "bold"), f"  ({low} to {high} with 95 % confidence)")


def _episodes(report: RolloutReport) -> Text:
    parts = [f"{report.finished:,} finished"]
    if report.failed:
        parts.append(f"{report.failed:,} failed")
    if report.interrupted:
        parts.append(f"{report.interrupted:,} interrupted")
    if missing := report.episodes - report.finished - report.failed - report.interrupted:
        parts.append(f"{missing:,} not begun")
    return Text(", ".join(parts))


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.2g} %" if percent < 9.5 else f"{percent:.0f} %"  # two digits, and 100
