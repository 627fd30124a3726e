"""``openenv rollout``: play many episodes at once and record every step."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openenv.cli.token import shown_to
from openenv.errors import ConfigurationError
from openenv.settings import load_settings

if TYPE_CHECKING:
    from rich.console import Console

    from openenv.rollout import Agent, RolloutReport, RolloutSettings

__all__ = ["rollout"]


def rollout(
    environment: Annotated[
        str, typer.Argument(metavar="ENV|URL", help="Name or path of an environment, or address of a server.")
    ],
    agent: Annotated[str, typer.Option(help="What plays: random, or module:function.")] = "random",
    episodes: Annotated[int, typer.Option(min=1, help="How many episodes to play.")] = 100,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, help="Sessions at the same time.", show_default="8, or fewer if the server takes fewer"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Seed of everything random; drawn if not given.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory to record into.", show_default="OPENENV_STORE, or runs")
    ] = None,
    max_steps: Annotated[int, typer.Option(min=1, help="Cut an episode after so many steps.")] = 1000,
    reset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Option of every reset, its value in JSON or plain text; {index} is the episode's number. Repeatable.",
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Play many episodes at once and record every step.

    The same seed plays the same episodes, whatever the concurrency, if environment and agent are deterministic.
    Ctrl-C ends the run with what there is; a second one ends it at once.
    """
    from openenv.rollout import RANDOM, RolloutSettings, draw_seed, load_agent

    settings = RolloutSettings(
        environment=environment,
        episodes=episodes,
        concurrency=concurrency,
        seed=draw_seed() if seed is None else seed,
        out=out or load_settings().store,
        max_steps=max_steps,
        reset_options=_reset_options(reset or []),
        headers=shown_to(environment),
    )
    raise typer.Exit(_play(settings, agent if agent == RANDOM else load_agent(agent)))


def _reset_options(given: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for one in given:
        key, equals, text = one.partition("=")
        if not key.isidentifier() or not equals:
            raise ConfigurationError(f"--reset takes key=value, not {one!r}")
        if key in options:
            raise ConfigurationError(f"--reset {key} is given twice")
        try:
            options[key] = json.loads(text)
        except ValueError:
            if text.startswith(("[", '"', '{"', "{}")):
                raise ConfigurationError(f"--reset {key}: {text} is no JSON value") from None
            options[key] = text
    return options


def _play(settings: RolloutSettings, agent: str | Agent) -> int:
    from openenv.rollout import run_rollout
    from openenv.rollout.display import console, report_table, shown_progress

    name = agent if isinstance(agent, str) else agent.name
    screen = console(stderr=True)
    told: list[int] = []

    async def play() -> RolloutReport:
        stop = asyncio.Event()
        with _signals_set(stop, told), shown_progress(screen, f"{settings.environment} · {name}") as show:
            return await run_rollout(settings, agent, on_progress=show, stop=stop)

    report = asyncio.run(play())
    if not report.run:
        screen.print("The run had not begun; nothing is recorded.", markup=False)
        return 128 + told[0]
    console().print(report_table(report))
    if settings.concurrency is None and report.sessions < settings.sessions:
        takes = f"{report.sessions} session{'s' if report.sessions > 1 else ''} at a time"
        screen.print(f"the server takes {takes}, so the run had no more", markup=False, soft_wrap=True)
    _say_where(screen, report)
    if report.stopped_by:
        raise report.stopped_by[0]
    if report.status == "interrupted":
        return 128 + told[0]
    return 0 if report.finished else 1


def _say_where(screen: Console, report: RolloutReport) -> None:
    place = "" if report.store == load_settings().store else f" --store {shlex.quote(str(report.store))}"
    kind = " --failed" if report.failed else ""
    line = f"look at it with: openenv trajectories show {report.run}{place}{kind}"
    screen.print(line, markup=False, soft_wrap=True)


@contextmanager
def _signals_set(stop: asyncio.Event, told: list[int]) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM set the event, so that the run ends in order; the next one acts as always."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(number: int, frame: FrameType | None) -> None:
        told.append(number)
        restore()
        # past the progress display, whose lock this very thread may hold
        line = b"Ending the run with what there is; once more ends it at once.\n"
        os.write(2, b"\r\x1b[2K" + line if os.isatty(2) else line)
        loop.call_soon_threadsafe(stop.set)

    def restore() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
