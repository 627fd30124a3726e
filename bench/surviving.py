"""``python -m bench.surviving``: what process isolation and the journal cost a step, interleaved in one run."""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console
from rich.table import Table

from bench.load import connected

_WAYS = {
    "inline": ("inline", False, "relaxed"),
    "thread": ("thread", False, "relaxed"),
    "process": ("process", False, "relaxed"),
    "inline, relaxed journal": ("inline", True, "relaxed"),
    "inline, durable journal": ("inline", True, "durable"),
}


def main() -> int:
    """Measure all ways in turn, round by round; medians, and differences and ratios round by round."""
    parser = argparse.ArgumentParser(prog="python -m bench.surviving", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default: 7)")
    parser.add_argument("--steps", type=int, default=4000, help="steps of each measurement (default: 4000)")
    asked = parser.parse_args()
    latency: dict[str, list[float]] = {name: [] for name in _WAYS}
    rate: dict[str, list[float]] = {name: [] for name in _WAYS}
    syncs: list[float] = []
    with ExitStack() as stack:
        ports = {name: stack.enter_context(_served(*way)) for name, way in _WAYS.items()}
        for number in range(asked.rounds + 1):
            for name, port in ports.items():
                with connected(port, 1) as load:
                    load.steps(300)
                    taken = load.latencies(asked.steps // 4)
                with connected(port, 64) as load:
                    load.steps(640)
                    seconds = load.steps(asked.steps)
                if number:  # the first round warms up
                    latency[name].append(statistics.median(taken) * 1e6)
                    rate[name].append(asked.steps / seconds)
            syncs.append(_syncs_a_second())
    table = Table("way", "p50 us, 1 session", "more than inline", "steps/s, 64 sessions", "of inline")
    for name in _WAYS:
        more = statistics.median(a - b for a, b in zip(latency[name], latency["inline"], strict=True))
        share = statistics.median(a / b for a, b in zip(rate[name], rate["inline"], strict=True))
        table.add_row(
            name,
            f"{statistics.median(latency[name]):.0f}",
            f"{more:+.0f}",
            f"{statistics.median(rate[name]):.0f}",
            f"{share:.2f}",
        )
    disk = statistics.median(syncs)
    durable = statistics.median(rate["inline, durable journal"])
    Console().print(
        table,
        f"The disk takes {disk:.0f} fdatasync/s; a durable journal lets {durable / disk:.1f} steps through for each.",
        f"Medians of {asked.rounds} interleaved rounds; load {os.getloadavg()[0]:.1f}.",
    )
    return 0


@contextmanager
def _served(isolation: str, has_journal: bool, mode: str) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    with tempfile.TemporaryDirectory(dir=".") as directory:
        journal = directory if has_journal else ""
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.apps.kept_server", str(port), isolation, journal, mode]
        )
        try:
            _until_healthy(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(20)


def _until_healthy(port: int, process: subprocess.Popen[bytes]) -> None:
    over_at = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < over_at:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise RuntimeError("the server did not start")


def _syncs_a_second(count: int = 100) -> float:
    with tempfile.NamedTemporaryFile(dir=".") as file:
        began = time.perf_counter()
        for _ in range(count):
            os.write(file.fileno(), bytes(512))
            os.fdatasync(file.fileno())
        return count / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
