"""What the run says: one table for people, one JSON file for programs."""

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
from bench.measurement import Row
from bench.sides import PEER_VERSION, Side

__all__ = ["as_json", "machine", "show", "write"]

_RESULTS = Path(__file__).resolve().parent / "results"


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
        table.add_row(row.what, _number(found.peer_median, row), _number(found.our_median, row), *_ratio(row, found))
    console.print(table)
    console.print(f"Medians of {rounds} interleaved rounds; a ratio is how many times better ours is.")
    console.print(_verdict(results), markup=False)


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
                "peer": found.peer_median,
                "ours": found.our_median,
                "ratio": found.ratio,
                "rounds": {"peer": found.peer, "ours": found.ours, "ratio": found.ratios},
            }
            for row, found in results.items()
        },
    }


def write(found: Mapping[str, Any]) -> Path:
    """Keep the JSON; returns its file."""
    _RESULTS.mkdir(exist_ok=True)
    path = _RESULTS / time.strftime("%Y-%m-%dT%H%M%S.json")
    path.write_text(json.dumps(found, indent=2) + "\n")
    return path


def _number(value: float, row: Row) -> str:
    digits = 0 if abs(value) >= 100 else 1
    return f"{value:,.{digits}f} {row.unit}".rstrip()


def _verdict(results: Mapping[Row, Comparison]) -> str:
    """How many goals were met, and which were not."""
    goals = {row: found.ratio for row, found in results.items() if row.goal}
    missed = [row.name for row, ratio in goals.items() if ratio is not None and row.goal and ratio < row.goal]
    unknown = [row.name for row, ratio in goals.items() if ratio is None]
    parts = [f"{len(goals) - len(missed) - len(unknown)} of {len(goals)} goals met"]
    parts += [f"missed: {', '.join(missed)}"] if missed else []
    parts += [f"no ratio: {', '.join(unknown)}"] if unknown else []
    return "; ".join(parts) + "."


def _ratio(row: Row, found: Comparison) -> tuple[str, str, str]:
    goal = f"{row.goal:g}x" if row.goal else ""
    if found.ratio is None or found.ratios is None:
        return "", "", goal
    missed = row.goal is not None and found.ratio < row.goal
    mark = "red" if missed else "green" if row.goal else "default"
    spread = f"{min(found.ratios):.1f} to {max(found.ratios):.1f}"
    return f"[{mark}]{found.ratio:.1f}x[/]", spread, goal
