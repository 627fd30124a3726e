"""``python -m bench [ROW ...]``: measure, print the table, keep the JSON."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from bench import holding, starting, stepping
from bench.comparing import Comparison
from bench.measurement import Row, compare
from bench.report import as_json, machine, show, write
from bench.sides import SetUpFailed, set_up

_MEASUREMENTS = (*starting.MEASUREMENTS, *holding.MEASUREMENTS, *stepping.MEASUREMENTS)
_NAMES = [row.name for measurement in _MEASUREMENTS for row in measurement.rows]


def main() -> int:
    """Run what the command line asks for."""
    asked = _arguments()
    wanted = set(asked.rows or _NAMES)
    console = Console()
    if not sys.platform.startswith("linux"):
        console.print("error: the benchmarks read /proc, so they need Linux", style="red")
        return 2
    before, results, failed = machine(), dict[Row, Comparison](), False
    with console.status("setting up") as status:
        try:
            sides = set_up(status.update)
        except (OSError, SetUpFailed) as error:
            console.print(f"error: {error}", style="red", markup=False)
            return 1
        for measurement in _MEASUREMENTS:
            if wanted.isdisjoint(row.name for row in measurement.rows):
                continue
            try:
                found = compare(measurement, sides, asked.rounds, status.update)
            except (RuntimeError, OSError) as error:  # the other rows are worth having
                console.print(f"{measurement.rows[0].name} failed: {error}", style="red", markup=False)
                failed = True
                continue
            results |= {row: one for row, one in found.items() if row.name in wanted}
    show(console, results, before, asked.rounds)
    console.print(f"All rounds are in {write(as_json(results, sides, before, asked.rounds))}")
    return int(failed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="This library beside the existing one.")
    parser.add_argument("rows", nargs="*", metavar="ROW", choices=[[], *_NAMES], help=f"one of {', '.join(_NAMES)}")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds of each side (default: 5)")
    parser.add_argument("--quick", dest="rounds", action="store_const", const=2, help="two rounds: a first look")
    asked = parser.parse_args()
    if asked.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return asked


if __name__ == "__main__":
    raise SystemExit(main())
