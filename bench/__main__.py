"""``python -m bench [ROW ...]``: measure, print the table, keep the JSON."""

from __future__ import annotations

import argparse
import signal
import sys

from rich.console import Console

from bench import arrays, calling, holding, playing, starting, stepping
from bench.comparing import Comparison
from bench.measurement import Row, compare
from bench.report import as_json, as_markdown, machine, show, write
from bench.sides import SetUpFailed, set_up

_MEASUREMENTS = (
    *stepping.MEASUREMENTS,
    *playing.MEASUREMENTS,
    *arrays.MEASUREMENTS,
    *calling.MEASUREMENTS,
    *starting.MEASUREMENTS,
    *holding.MEASUREMENTS,
)
_ROWS = [row for measurement in _MEASUREMENTS for row in measurement.rows]
_NAMES = [row.name for row in _ROWS]


def main() -> int:
    """Run what the command line asks for."""
    asked = _arguments()
    if asked.markdown:
        print(as_markdown(_ROWS))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # in order, so that no server is left behind
    wanted = set(asked.rows or _NAMES)
    console = Console() if sys.stdout.isatty() else Console(width=150)
    if not sys.platform.startswith("linux"):
        console.print("error: the benchmarks read /proc, so they need Linux", style="red")
        return 2
    before, results, failures = machine(), dict[Row, Comparison](), dict[str, str]()
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
                found, failed = compare(measurement, wanted, sides, asked.rounds, status.update)
            except (RuntimeError, OSError) as error:  # the other rows are worth having
                failures[measurement.rows[0].name] = str(error)
                continue
            results |= found
            failures |= failed
    for name, error_text in failures.items():
        console.print(f"{name} failed: {error_text}", style="red", markup=False)
    if results:
        show(console, results, before, asked.rounds)
        console.print(f"All rounds are in {write(as_json(results, sides, before, asked.rounds))}")
    return int(bool(failures))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="This library beside the existing one.")
    parser.add_argument("rows", nargs="*", metavar="ROW", choices=[[], *_NAMES], help=f"one of {', '.join(_NAMES)}")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds of each side (default: 5)")
    parser.add_argument("--quick", dest="rounds", action="store_const", const=2, help="two rounds: a first look")
    parser.add_argument(
        "--markdown", action="store_true", help="measure nothing; print what was measured last as Markdown"
    )
    asked = parser.parse_args()
    if asked.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return asked


if __name__ == "__main__":
    raise SystemExit(main())
