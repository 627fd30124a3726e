"""``python -m bench.limits``: what a step costs at least, beside what it costs here."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.load import connected
from bench.processes import cpu_s
from bench.servers import Server, Way, free_port, serving
from bench.sides import APPS, SetUpFailed, Side, set_up
from bench.stepping import settle

_STEPS = 10_000
_START_S = 30.0
_BARE = {
    "tcp": "uvloop, bytes that nobody reads",
    "picows": "picows, a constant answer",
    "uvicorn": "uvicorn, a constant answer",
}
_OURS = {
    "openenv serve, no journal": Way(serve=("--journal-mode", "off")),
    "openenv serve": Way(serve=()),
    "create_app": Way(),
}


def main() -> int:
    """Measure all in turn; medians."""
    parser = argparse.ArgumentParser(prog="python -m bench.limits", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default: 5)")
    rounds = parser.parse_args().rounds
    try:
        ours = set_up(lambda said: print(said, file=sys.stderr)).ours
    except (OSError, SetUpFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    with ExitStack() as stack:
        servers = {name: stack.enter_context(_answering(ours, kind)) for kind, name in _BARE.items()}
        servers |= {name: stack.enter_context(serving(ours, way)) for name, way in _OURS.items()}
        taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in servers}
        for server in servers.values():
            settle(server)
        for number in range(rounds + 1):
            for name, server in servers.items():
                numbers = _sample(server)
                if number:  # the first round warms up
                    taken[name].append(numbers)
    table = Table("server", "CPU a step, 1 session", "p50", "CPU a step, 64 sessions")
    for name, samples in taken.items():
        table.add_row(name, *(f"{median(column):.1f} µs" for column in zip(*samples, strict=True)))
    Console(width=100).print(table, f"Medians of {rounds} interleaved rounds.")
    return 0


def _sample(server: Server) -> tuple[float, float, float]:
    with connected(server.port, 1) as load:
        load.latencies(100)
        before = cpu_s(server.pid)
        latencies = load.latencies(_STEPS)
        alone = cpu_s(server.pid) - before
    with connected(server.port, 64) as load:
        load.steps(640)
        before = cpu_s(server.pid)
        load.steps(_STEPS)
        crowded = cpu_s(server.pid) - before
    return alone / _STEPS * 1e6, median(latencies) * 1e6, crowded / _STEPS * 1e6


@contextmanager
def _answering(side: Side, kind: str) -> Iterator[Server]:
    """A server that always answers the same, from its first answer on."""
    port, begun = free_port(), time.perf_counter()
    command = (APPS / "constant.py", kind, str(port))
    process = side.start(*command, output=subprocess.DEVNULL, errors=subprocess.DEVNULL)
    try:
        while not _answers(port):
            if process.poll() is not None or time.perf_counter() - begun > _START_S:
                raise RuntimeError(f"the server {kind} did not start")
            time.sleep(0.01)
        yield Server(port, process.pid, time.perf_counter() - begun)
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        with connected(port, 1):
            return True
    except ConnectionError:
        return False


if __name__ == "__main__":
    raise SystemExit(main())
