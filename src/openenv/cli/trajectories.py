"""``openenv trajectories``: list, show and export what was recorded."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from openenv.errors import OpenEnvError, RecordError
from openenv.settings import load_settings

if TYPE_CHECKING:
    from rich.console import Console

    from openenv.record import EpisodeSummary, EventStore, Run

__all__ = ["trajectories"]

trajectories = typer.Typer(no_args_is_help=True)

_Run = Annotated[str, typer.Argument(metavar="[RUN]", help="Beginning of the run's id; the newest run if not given.")]
_Store = Annotated[
    Path | None,
    typer.Option(
        "--store", help="Directory of the runs, or of a server's journal.", show_default="OPENENV_STORE, or runs"
    ),
]
_Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


class Format(Enum):
    """Formats that runs are exported in."""

    JSONL = "jsonl"
    PARQUET = "parquet"


@trajectories.command("list")
def list_runs(
    store: _Store = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many runs, newest first.")] = 20,
    debug: _Debug = False,
) -> None:
    """List the runs, newest first."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from openenv.rollout.display import console, number
    from openenv.rollout.story import STATUS_STYLES

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("run", "began", "status"):
        table.add_column(name, no_wrap=True)
    for name in ("environment", "agent"):
        table.add_column(name, overflow="fold")
    for name in ("episodes", "mean return"):
        table.add_column(name, justify="right", no_wrap=True)
    with _opened(store) as events:
        runs = events.runs()
        for run in runs[:limit]:
            episodes = list(events.episodes(run.id))
            failed = sum(episode.status == "failed" for episode in episodes)
            table.add_row(
                Text(run.id, style="bold"),
                _when(run.started_at, "%m-%d %H:%M"),
                Text(run.status, style=STATUS_STYLES[run.status]),
                Text(run.environment),
                Text(run.agent),
                f"{len(episodes):,}" + (f", {failed:,} failed" if failed else ""),
                number(_mean_return(episodes)),
            )
    console().print(table)
    if len(runs) > limit:
        typer.echo(f"{len(runs) - limit} older ones; see them with --limit {len(runs)}", err=True)


@trajectories.command()
def show(
    run: _Run = "",
    episode: Annotated[str | None, typer.Option(help="Id of the episode.")] = None,
    index: Annotated[int | None, typer.Option(min=0, help="Number of the episode, from 0, as they began.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Count only episodes that failed.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Show long texts to their end.")] = False,
    store: _Store = None,
    debug: _Debug = False,
) -> None:
    """Tell one episode of a run, the first if none is named: every action, what came of it, and the reward."""
    from openenv.record import Trajectory
    from openenv.rollout.display import console
    from openenv.rollout.story import Layout, print_story

    if episode is not None and (index is not None or failed):
        raise typer.BadParameter("--episode names one already; leave out --index and --failed")
    with _opened(store) as events:
        found = _find(events, run)
        summaries = sorted(events.episodes(found.id), key=lambda one: one.started_at)
        chosen = episode or _chosen(summaries, index or 0, failed, found.id)
        trajectory = Trajectory.of(events.events(found.id, chosen))
    screen = console()
    _print_run(screen, found, summaries)
    print_story(screen, found, trajectory, Layout(lines=0, characters=0) if full else Layout())


@trajectories.command()
def export(
    run: _Run = "",
    format: Annotated[Format, typer.Option(help="Format of the file.")] = Format.JSONL,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; else standard output.")] = None,
    store: _Store = None,
    debug: _Debug = False,
) -> None:
    """Write a run's events to a file or standard output, one line or row an event.

    JSON lines hold the events as they are. Parquet has the same columns for every environment, and request and reply
    as JSON text; it needs --output and the extra openenv[parquet].
    """
    from openenv.record import export_jsonl, export_parquet

    if output is None and format is Format.PARQUET:
        raise typer.BadParameter("parquet is no text; name its file with --output")
    with _opened(store) as events:
        found = _find(events, run)
        if output is None:
            export_jsonl(events, found.id, typer.get_text_stream("stdout", encoding="utf-8"))
            return
        with _written(output) as file:
            if format is Format.PARQUET:
                count = export_parquet(events, found.id, file)
            else:
                with TextIOWrapper(file, encoding="utf-8", newline="\n") as text:
                    count = export_jsonl(events, found.id, text)
    typer.echo(f"{count:,} events of run {found.id} written to {output}", err=True)


@contextmanager
def _written(output: Path) -> Iterator[BinaryIO]:
    """A file that takes its name once it is whole; what had the name before stays until then."""
    special = output.exists() and not output.is_file()  # a pipe or a device is written as it is
    partial = output if special else output.with_name(f"{output.name}.part")
    try:
        with partial.open("wb") as file:
            yield file
        if not special:
            partial.replace(output.resolve())
    except BaseException as error:
        if not special:
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, OpenEnvError):
            raise RecordError(f"cannot write {output}: {error.strerror or error}; choose another --output") from error
        raise


def _opened(store: Path | None) -> EventStore:
    from openenv.record import open_recorded

    return open_recorded(store or load_settings().store)


def _find(events: EventStore, prefix: str) -> Run:
    if prefix:
        return events.run(prefix)
    runs = events.runs()
    if not runs:
        raise RecordError(f"no runs in {events.path.parent}; record one with: openenv rollout ENV")
    return runs[0]


def _chosen(summaries: list[EpisodeSummary], index: int, failed: bool, run: str) -> str:
    kind = "failed episode" if failed else "episode"
    among = [one for one in summaries if one.status == "failed"] if failed else summaries
    if not among:
        raise RecordError(f"run {run} has no {kind}")
    if index >= len(among):
        raise RecordError(f"run {run} has no {kind} {index}; the last is {len(among) - 1}")
    return among[index].episode


def _print_run(screen: Console, run: Run, episodes: list[EpisodeSummary]) -> None:
    from rich.text import Text

    from openenv.rollout.display import number
    from openenv.rollout.story import STATUS_STYLES

    screen.print(
        Text.assemble(
            ("run ", "dim"),
            (run.id, "bold"),
            " · ",
            (run.status, STATUS_STYLES[run.status]),
            f" · {_when(run.started_at)} · {len(episodes):,} episodes · mean return {number(_mean_return(episodes))}",
            "" if run.seed is None else f" · seed {run.seed}",
        ),
        soft_wrap=True,
    )


def _mean_return(episodes: Iterable[EpisodeSummary]) -> float:
    from statistics import fmean

    returns = [episode.return_ for episode in episodes if episode.status == "done"]
    return fmean(returns) if returns else float("nan")


def _when(at: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    return time.strftime(form, time.localtime(at))
