"""What a step costs: processor time of the server, latency, and what several sessions get in a second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from bench.comparing import Better
from bench.load import connected
from bench.load_v2 import Encoding, muxed
from bench.measurement import Entrant, Measurement, Prepare, Row, Sample
from bench.processes import cpu_s
from bench.servers import CREATE_APP, SERVE, Server, Way, serving
from bench.sides import Sides

__all__ = ["MEASUREMENTS", "settle"]

_PROOF = 300
_STEPS = 10_000
_JOURNAL_OFF = Way(serve=("--journal-mode", "off"))
_WORKERS = Way(serve=("--workers", "2"))


def settle(server: Server, sessions: int = 1) -> None:
    """Play until the server has made up its mind: ours moves the later sessions of a class that proves fast.

    Args:
        server: To be settled.
        sessions: At the same time; several workers have to see some each.
    """
    for _ in range(2):
        with connected(server.port, sessions) as load:
            load.steps(_PROOF * sessions)


def _alone(name: str, way: Way) -> Prepare:
    """One session: CPU a step, p50, rate."""

    @contextmanager
    def prepare(sides: Sides) -> Iterator[Sample]:
        with serving(getattr(sides, name), way) as server:
            settle(server)

            def sample() -> list[float]:
                with connected(server.port, 1) as load:
                    load.latencies(100)
                    before = cpu_s(server.pid)
                    taken = load.latencies(_STEPS)
                    used = cpu_s(server.pid) - before
                    return [used / _STEPS * 1e6, median(taken) * 1e6, _STEPS / sum(taken)]

            yield sample

    return prepare


def _crowd(name: str, way: Way) -> Prepare:
    """64 sessions, each with its connection: CPU a step, rate."""

    @contextmanager
    def prepare(sides: Sides) -> Iterator[Sample]:
        with serving(getattr(sides, name), way) as server:
            settle(server, 8)

            def sample() -> list[float]:
                with connected(server.port, 64) as load:
                    load.steps(640)
                    before = cpu_s(server.pid)
                    took_s = load.steps(_STEPS)
                    return [(cpu_s(server.pid) - before) / _STEPS * 1e6, _STEPS / took_s]

            yield sample

    return prepare


def _one_connection(sessions: int, encoding: Encoding, is_batched: bool) -> Prepare:
    """Sessions that share one connection of protocol v2: CPU a step, rate."""
    way = Way(serve=("--max-sessions", "300"))
    steps = _STEPS * 4 if is_batched else _STEPS

    @contextmanager
    def prepare(sides: Sides) -> Iterator[Sample]:
        with serving(sides.ours, way) as server:
            settle(server)

            def sample() -> list[float]:
                with muxed(server.port, sessions, encoding) as load:
                    (load.batches(10) if is_batched else load.steps(10 * sessions))
                    before = cpu_s(server.pid)
                    took_s = load.batches(steps // sessions) if is_batched else load.steps(steps)
                    done = steps // sessions * sessions if is_batched else steps
                    return [(cpu_s(server.pid) - before) / done * 1e6, done / took_s]

            yield sample

    return prepare


def _alone_rows(suffix: str, how: str, cpu_goal: float | None, p50_goal: float | None) -> tuple[Row, ...]:
    return (
        Row(f"step_1{suffix}", f"{how}: server CPU a step, 1 session", "µs", goal=cpu_goal),
        Row(f"latency{suffix}", f"{how}: p50 of a step, 1 session", "µs", goal=p50_goal),
        Row(f"rate_1{suffix}", f"{how}: steps, 1 session", "1/s", Better.MORE),
    )


def _crowd_rows(
    name: str, what: str, *, cpu_goal: float | None = None, rate_goal: float | None = None
) -> tuple[Row, ...]:
    return (
        Row(name, f"{what}: server CPU a step", "µs", goal=cpu_goal),
        Row(f"{name}_rate", f"{what}: steps", "1/s", Better.MORE, goal=rate_goal),
    )


MEASUREMENTS = (
    Measurement(
        _alone("peer", CREATE_APP),
        (
            Entrant(_alone_rows("", "create_app", 4, 3.5), _alone("ours", CREATE_APP)),
            Entrant(_alone_rows("_serve", "openenv serve", 8, 6), _alone("ours", SERVE)),
            Entrant(_alone_rows("_no_journal", "openenv serve, no journal", None, None), _alone("ours", _JOURNAL_OFF)),
        ),
    ),
    Measurement(
        _crowd("peer", CREATE_APP),
        (
            Entrant(_crowd_rows("step_64", "create_app, 64 sessions", cpu_goal=5), _crowd("ours", CREATE_APP)),
            Entrant(_crowd_rows("step_64_serve", "openenv serve, 64 sessions", cpu_goal=9), _crowd("ours", SERVE)),
            Entrant(
                _crowd_rows("step_64_no_journal", "openenv serve, no journal, 64 sessions"),
                _crowd("ours", _JOURNAL_OFF),
            ),
            Entrant(
                _crowd_rows("workers", "openenv serve, 2 workers, 64 sessions", rate_goal=6), _crowd("ours", _WORKERS)
            ),
            Entrant(_crowd_rows("muxed_64", "64 sessions on one connection"), _one_connection(64, "json", False)),
            Entrant(
                _crowd_rows("batch_64", "batches of 64 on one connection", cpu_goal=25),
                _one_connection(64, "msgpack", True),
            ),
            Entrant(
                _crowd_rows("batch_64_json", "batches of 64 in JSON", cpu_goal=25), _one_connection(64, "json", True)
            ),
            Entrant(
                _crowd_rows("batch_256", "batches of 256 on one connection", cpu_goal=25),
                _one_connection(256, "msgpack", True),
            ),
        ),
    ),
)
