"""What a server takes before it does anything: its cold start, idle memory, idle sessions, and its size on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.load import connected
from bench.measurement import Entrant, Measurement, Prepare, Row, Sample
from bench.processes import cpu_s, usage
from bench.servers import CREATE_APP, SERVE, Way, serving
from bench.sides import Side, Sides
from bench.stepping import settle

__all__ = ["MEASUREMENTS"]

_FIRST, _SESSIONS = 32, 64
_STEPS_EACH = 20
_SEEDED = ("pip", "setuptools", "_distutils_hack")


def _life(name: str, way: Way) -> Prepare:
    """A server from its start, every round anew: until it answers, idle, and with sessions that have played.

    What sessions take is what ``_SESSIONS`` take that come to ``_FIRST`` others: those fill what a server has free.
    """

    @contextmanager
    def prepare(sides: Sides) -> Iterator[Sample]:
        def sample() -> list[float]:
            with serving(getattr(sides, name), way) as server:
                started = cpu_s(server.pid)
                idle = usage(server.pid)
                settle(server)
                with connected(server.port, _FIRST) as first:
                    first.steps(_FIRST * _STEPS_EACH)
                    before = usage(server.pid)
                    with connected(server.port, _SESSIONS) as others:
                        others.steps(_SESSIONS * _STEPS_EACH)
                        after = usage(server.pid)
                return [
                    started * 1000,
                    server.started_in_s * 1000,
                    idle.memory_mib,
                    idle.threads,
                    (after.memory_mib - before.memory_mib) * 2**20 / 1000 / _SESSIONS,
                    (after.threads - before.threads) / _SESSIONS,
                ]

        yield sample

    return prepare


def _rows(suffix: str, how: str, start_goal: float) -> tuple[Row, ...]:
    return (
        Row(f"cold_start{suffix}", f"{how}: start to first healthy answer, CPU", "ms", goal=start_goal),
        Row(f"cold_start_wall{suffix}", f"{how}: start to first healthy answer, wall", "ms"),
        Row(f"idle_memory{suffix}", f"{how}: memory when idle", "MiB", goal=4),
        Row(f"idle_threads{suffix}", f"{how}: threads when idle", ""),
        Row(f"session_memory{suffix}", f"{how}: memory an idle session, of 64", "kB", goal=2.5, at_most=30),
        Row(f"session_threads{suffix}", f"{how}: threads an idle session, of 64", "", at_most=0),
    )


def _size(name: str) -> Prepare:
    @contextmanager
    def prepare(sides: Sides) -> Iterator[Sample]:
        side: Side = getattr(sides, name)

        def sample() -> list[float]:
            files = [path for path in side.packages.rglob("*") if _is_counted(path.relative_to(side.packages))]
            return [sum(path.stat().st_size for path in files if path.is_file()) / 2**20]

        yield sample

    return prepare


def _is_counted(path: Path) -> bool:
    return not path.parts[0].startswith(_SEEDED) and "__pycache__" not in path.parts


MEASUREMENTS = (
    Measurement(
        _life("peer", CREATE_APP),
        (
            Entrant(_rows("", "create_app", 7), _life("ours", CREATE_APP)),
            Entrant(_rows("_serve", "openenv serve", 10), _life("ours", SERVE)),
        ),
        warm_up=False,
    ),
    Measurement(
        _size("peer"),
        (
            Entrant(
                (Row("size", "installed, with dependencies, without bytecode", "MiB", goal=6),),
                _size("ours"),
            ),
        ),
        warm_up=False,
        repeats=False,
    ),
)
