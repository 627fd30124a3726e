"""What is held: memory and threads of a server, idle and per session, and the size on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.load import connected
from bench.measurement import Measurement, Row, Sample
from bench.processes import usage
from bench.servers import serving
from bench.sides import Side
from bench.stepping import settle

__all__ = ["MEASUREMENTS"]

_SESSIONS = 64
_STEPS_EACH = 20
_SEEDED = ("pip", "setuptools", "_distutils_hack")


@contextmanager
def _idle(side: Side) -> Iterator[Sample]:
    def sample() -> list[float]:
        with serving(side) as server:
            held = usage(server.pid)
            return [held.memory_mib, held.threads]

    yield sample


@contextmanager
def _per_session(side: Side) -> Iterator[Sample]:
    """Sessions that all play at once, beside the same server after it has settled and its first sessions have ended."""

    def sample() -> list[float]:
        with serving(side) as server:
            settle(server)
            before = usage(server.pid)
            with connected(server.port, _SESSIONS) as load:
                load.steps(_SESSIONS * _STEPS_EACH)
                after = usage(server.pid)
            return [
                (after.memory_mib - before.memory_mib) * 1024 / _SESSIONS,
                (after.threads - before.threads) / _SESSIONS,
            ]

    yield sample


@contextmanager
def _size(side: Side) -> Iterator[Sample]:
    def sample() -> list[float]:
        files = [path for path in side.packages.rglob("*") if _is_counted(path.relative_to(side.packages))]
        return [sum(path.stat().st_size for path in files if path.is_file()) / 2**20]

    yield sample


def _is_counted(path: Path) -> bool:
    return not path.parts[0].startswith(_SEEDED) and "__pycache__" not in path.parts


MEASUREMENTS = (
    Measurement(
        (
            Row("idle_memory", "server: memory when idle", "MiB", goal=4),
            Row("idle_threads", "server: threads when idle", ""),
        ),
        _idle,
        warm_up=False,
    ),
    Measurement(
        (
            Row("session_memory", "server: memory a session, of 64", "KiB"),
            Row("session_threads", "server: threads a session, of 64", ""),
        ),
        _per_session,
        warm_up=False,
    ),
    Measurement(
        (Row("size", "installed, with dependencies, without bytecode", "MiB"),),
        _size,
        warm_up=False,
        repeats=False,
    ),
)
