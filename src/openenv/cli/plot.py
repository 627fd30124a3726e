"""``openenv plot``: figures of recorded runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openenv.errors import RecordError
from openenv.settings import load_settings

if TYPE_CHECKING:
    from openenv.record import EventStore, Run
    from openenv.rollout.plot import PlottedRun

__all__ = ["plot"]


class PictureFormat(Enum):
    """Formats of the figures."""

    PNG = "png"
    SVG = "svg"


def plot(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]…", help="Beginnings of the runs' ids; the newest run if none is given."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Directory of the figures; made if it is not there.")] = Path("plots"),
    format: Annotated[PictureFormat, typer.Option(help="Format of the figures.")] = PictureFormat.PNG,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store", help="Directory of the runs, or of a server's journal.", show_default="OPENENV_STORE, or runs"
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Draw runs over each other: running mean of the return, distributions of return and length.

    Only finished episodes are drawn. Needs the extra openenv[plot].
    """
    from openenv.record import open_recorded
    from openenv.rollout.plot import write_figures

    with open_recorded(store or load_settings().store) as events:
        found = _found(events, runs or [])
        plotted = [_plotted(events, run, label) for run, label in zip(found, _labels(found), strict=True)]
    title = ", ".join(dict.fromkeys(run.environment for run in found))
    for path in write_figures(plotted, title, out, format.value):
        typer.echo(path)


def _labels(runs: Sequence[Run]) -> list[str]:
    """Names that tell the runs apart: the agent, with the environment if there are several, with the id if need be."""
    several = len({run.environment for run in runs}) > 1
    names = [f"{run.environment}, {run.agent}" if several else run.agent for run in runs]
    count = Counter(names)
    return [f"{name}, run {run.id}" if count[name] > 1 else name for name, run in zip(names, runs, strict=True)]


def _found(events: EventStore, prefixes: Sequence[str]) -> list[Run]:
    if prefixes:
        return list({run.id: run for run in map(events.run, prefixes)}.values())
    runs = events.runs()
    if not runs:
        raise RecordError(f"no runs in {events.path.parent}; record one with: openenv rollout ENV")
    return runs[:1]


def _plotted(events: EventStore, run: Run, label: str) -> PlottedRun:
    from openenv.rollout.plot import PlottedRun

    episodes = sorted(events.episodes(run.id), key=lambda one: one.started_at)
    finished = [one for one in episodes if one.status == "done"]
    return PlottedRun(
        label=label,
        returns=tuple(one.return_ for one in finished),
        lengths=tuple(one.length for one in finished),
        left_out=len(episodes) - len(finished),
    )
