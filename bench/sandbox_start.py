"""``python -m bench.sandbox_start``: start of a fresh interpreter at every sandbox level, beside plain bubblewrap."""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from time import perf_counter

from rich.console import Console
from rich.table import Table

from openenv.sandbox import Limits, Sandbox, choose, probe, python_paths

_PROGRAM = [sys.executable, "-I", "-S", "-c", "print(1)"]
_PLAIN = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]


def main() -> int:
    """Measure in turn, so that what slows the machine slows all; medians of the time to the first byte."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.sandbox_start", description=(__doc__ or "").partition(": ")[2]
    )
    parser.add_argument("--rounds", type=int, default=21, help="interleaved rounds (default: 21)")
    rounds = parser.parse_args().rounds
    if shutil.which("bwrap") is None:
        print("error: plain bubblewrap is what is compared with: apt-get install bubblewrap", file=sys.stderr)
        return 1
    ways: dict[str, Callable[[], float]] = {"plain bubblewrap": _plain}
    for finding in probe():
        if finding.available:
            ways[finding.level.value] = _started_by(choose(finding.level))
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            seconds = way()
            if number:  # the first round warms up
                taken[name].append(seconds)
    table = Table("level", "ms to the first byte", "ratio", "goal")
    base = statistics.median(taken["plain bubblewrap"])
    for name, seconds_taken in taken.items():
        median = statistics.median(seconds_taken)
        goal = "1.5x at most" if name == choose().level.value else ""
        table.add_row(name, f"{median * 1000:.1f}", f"{median / base:.2f}x", goal)
    Console().print(table, f"Medians of {rounds} interleaved rounds; load {os.getloadavg()[0]:.1f}.")
    return 0


def _plain() -> float:
    began = perf_counter()
    with subprocess.Popen([*_PLAIN, *_PROGRAM], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        return perf_counter() - began


def _started_by(sandbox: Sandbox) -> Callable[[], float]:
    def start() -> float:
        reading, writing = os.pipe()
        began = perf_counter()
        with sandbox.spawn(_PROGRAM, limits=Limits(), read_only=python_paths(), stdout=writing):
            os.close(writing)
            os.read(reading, 1)
            took = perf_counter() - began
        os.close(reading)
        return took

    return start


if __name__ == "__main__":
    raise SystemExit(main())
