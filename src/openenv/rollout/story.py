"""An episode as a story: what the agent did, what it saw then, what it got for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.text import Text

from openenv.rollout.display import number
from openenv.rollout.passages import Layout, laid_out, printable

if TYPE_CHECKING:
    from openenv.record import Event, Run, Trajectory

__all__ = ["STATUS_STYLES", "Layout", "print_story"]

STATUS_STYLES = {
    "running": "cyan",
    "complete": "green",
    "done": "green",
    "interrupted": "yellow",
    "failed": "red",
}
"""Colours of the statuses of runs and episodes."""

_RULE = 72  # columns, where there are so many
_TOLD = {"seed", "episode_id"}  # metadata of a reset that the header says already


def print_story(screen: Console, run: Run, trajectory: Trajectory, layout: Layout | None = None) -> None:
    """Print an episode: a header, then each event with action, observation and reward.

    Args:
        screen: Where to print it; without a terminal there are no colours.
        run: The run it belongs to.
        trajectory: The episode.
        layout: How much of long texts is shown.
    """
    layout = layout or Layout()
    screen.print(_header(run, trajectory), soft_wrap=True)
    for event in trajectory.events:
        for part in _event(event, layout, min(_RULE, screen.width)):
            screen.print(part)
    if trajectory.status == "running":
        screen.print()
        screen.print(Text("no end was recorded: it is still being played, or its process was killed", style="yellow"))


def _header(run: Run, trajectory: Trajectory) -> Text:
    summary = trajectory.summary
    return Text.assemble(
        ("episode ", "dim"),
        (printable(summary.episode), "bold"),
        f" · {printable(run.environment)} · {printable(run.agent)} · ",
        (summary.status, STATUS_STYLES[summary.status]),
        f" · {_count(summary.length, 'step')} · return {number(summary.return_)}",
        "" if summary.seed is None else f" · seed {summary.seed}",
    )


def _event(event: Event, layout: Layout, width: int) -> Iterator[RenderableType]:
    if event.kind == "end":
        yield Text()
        yield from _end(event)
        return
    yield Text()
    yield _title(event, width)
    if "action" in event.request:
        yield from _section("action", event.request["action"], layout)
    if event.kind == "error":
        yield from _error(event.reply, layout)
        return
    yield from _section("observation", event.reply["observation"], layout)
    metadata = {name: value for name, value in (event.reply.get("metadata") or {}).items() if name not in _TOLD}
    if metadata:
        yield from _section("metadata", metadata, layout)


def _title(event: Event, width: int) -> Text:
    """A rule with the event's name at its left, reward and time at its right."""
    name = "reset" if event.index == 0 else f"step {event.index}"
    facts = [Text(f"{1000 * event.duration_s:,.1f} ms", style="dim")]
    if event.reward is not None:
        style = "bold green" if event.reward > 0 else "bold red" if event.reward < 0 else "bold"
        facts.insert(0, Text(f"reward {number(event.reward)}", style=style))
    if event.kind != "error" and (ended := _ended(event.reply)):
        facts.insert(0, Text(ended, style="bold"))
    right = Text.assemble((" · ", "dim")).join(facts)
    dashes = max(width - len(name) - len(right) - 5, 2)
    return Text.assemble(("── ", "dim"), (name, "bold"), (f" {'─' * dashes} ", "dim"), right)


def _ended(reply: dict[str, Any]) -> str:
    found = [word for word in ("terminated", "truncated") if reply.get(word)]
    return " and ".join(found) or ("done" if reply.get("done") else "")


def _section(name: str, value: Any, layout: Layout) -> Iterator[RenderableType]:
    yield Text(name, style="dim italic")
    yield from laid_out(value, layout, indent=2)


def _error(reply: dict[str, Any], layout: Layout) -> Iterator[RenderableType]:
    yield Text("error", style="bold red")
    yield Text.assemble("  ", (f"{printable(reply['code'])}: {printable(reply['message'])}", "red"))
    if details := reply.get("details"):
        yield from laid_out(details, layout, indent=2)


def _end(event: Event) -> Iterator[RenderableType]:
    status = event.status or "end"
    facts = {name: value for name, value in event.reply.items() if name != "status"}
    yield Text.assemble(("── ", "dim"), (f"episode {status}", f"bold {STATUS_STYLES.get(status, '')}".strip()))
    if facts:
        yield from laid_out(facts, Layout(), indent=2)


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
