"""What the run says: one table for people, one JSON file for programs, and the table as Markdown."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.comparing import Comparison
from bench.goals import verdict
from bench.measurement import Row
from bench.sides import PEER_VERSION, Side

__all__ = ["RESULTS", "as_json", "as_markdown", "machine", "show", "write"]

RESULTS = Path(__file__).resolve().parent / "results"
"""Where runs are kept."""


def machine() -> dict[str, Any]:
    """What the numbers depend on: processors, Python, and what else the machine does now."""
    return {
        "load": [round(one, 2) for one in os.getloadavg()],
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def show(console: Console, results: Mapping[Row, Comparison], before: Mapping[str, Any], rounds: int) -> None:
    """Print the table."""
    now = machine()
    table = Table(caption=f"load {before['load'][0]} before, {now['load'][0]} after, on {now['processors']} processors")
    table.add_column("what")
    for name in (f"peer {PEER_VERSION}", "ours", "ratio", "of rounds", "goal"):
        table.add_column(name, justify="right")
    for row, found in results.items():
        said = verdict(row, found)
        mark = {True: "green", False: "red", None: "default"}[said.met]
        ratio, spread = _ratio(found)
        goal = f"{said.goal} ({said.gap})" if said.gap else said.goal
        cells = (_number(found.peer_median, row.unit), _number(found.our_median, row.unit))
        table.add_row(row.what, *cells, f"[{mark}]{ratio}[/]", spread, f"[{mark}]{goal}[/]")
    console.print(table)
    console.print(f"Medians of {rounds} interleaved rounds; a ratio is how many times better ours is.")
    console.print(_summary(results), markup=False)


def as_json(
    results: Mapping[Row, Comparison], sides: tuple[Side, Side], before: Mapping[str, Any], rounds: int
) -> dict[str, Any]:
    """All there is to know of the run, every round included."""
    return {
        "rounds": rounds,
        "machine": {**before, "load_after": machine()["load"]},
        "packages": {side.name: side.versions() for side in sides},
        "rows": {
            row.name: {
                "what": row.what,
                "unit": row.unit,
                "better": row.better.value,
                "goal": row.goal,
                "at_most": row.at_most,
                "peer": found.peer_median,
                "ours": found.our_median,
                "ratio": found.ratio,
                "rounds": {"peer": found.peer, "ours": found.ours, "ratio": found.ratios},
            }
            for row, found in results.items()
        },
    }


def as_markdown(rows: list[Row], folder: Path = RESULTS) -> str:
    """The table of what is kept: of each row the newest run that has it, and the load under which it was measured."""
    runs = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"), reverse=True)}
    lines = [
        f"| what | peer {PEER_VERSION} | ours | ratio | of rounds | goal | |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    used: dict[str, str] = {}
    for row in rows:
        name = next((name for name, run in runs.items() if row.name in run["rows"]), None)
        if name is None:
            continue
        run = runs[name]
        rounds = run["rows"][row.name]["rounds"]
        found = Comparison(rounds["peer"], rounds["ours"], row.better)
        said = verdict(row, found)
        met = {True: "met", False: f"missed: {said.gap}", None: ""}[said.met]
        numbers = (_number(found.peer_median, row.unit), _number(found.our_median, row.unit), *_ratio(found))
        lines.append(f"| {' | '.join((row.what, *numbers, said.goal, met))} |")
        load = run["machine"]
        used[name] = f"{name[:10]}, {run['rounds']} rounds, load {load['load'][0]} to {load['load_after'][0]}"
        used[name] += f", {load['processors']} processors, Python {load['python']}"
    return "\n".join([*lines, "", *(f"Measured {one}." for one in dict.fromkeys(used.values()))])


def write(found: Mapping[str, Any]) -> Path:
    """Keep the JSON; returns its file."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / time.strftime("%Y-%m-%dT%H%M%S.json")
    path.write_text(json.dumps(found, indent=2) + "\n")
    return path


def _number(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 else 1
    return f"{value:,.{digits}f} {unit}".rstrip()


def _ratio(found: Comparison) -> tuple[str, str]:
    if found.ratio is None or found.ratios is None:
        return "", ""
    return f"{found.ratio:.1f}x", f"{min(found.ratios):.1f} to {max(found.ratios):.1f}"


def _summary(results: Mapping[Row, Comparison]) -> str:
    """How many goals were met, and which were not."""
    said = {row.name: one for row, found in results.items() if (one := verdict(row, found)).goal}
    missed = [name for name, one in said.items() if one.met is False]
    unknown = [name for name, one in said.items() if one.met is None]
    parts = [f"{len(said) - len(missed) - len(unknown)} of {len(said)} goals met"]
    parts += [f"missed: {', '.join(missed)}"] if missed else []
    parts += [f"no ratio: {', '.join(unknown)}"] if unknown else []
    return "; ".join(parts) + "."
