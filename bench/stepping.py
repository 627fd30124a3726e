"""What steps cost: processor time of the server, latency, and throughput with each side's own client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from statistics import median

from bench.comparing import Better
from bench.load import connected
from bench.measurement import Measurement, Row, Sample
from bench.processes import cpu_s
from bench.servers import Server, serving
from bench.sides import APPS, Side

__all__ = ["MEASUREMENTS", "settle"]

_PROOF = 300
_STEPS = 20_000
_PLAYED = 2_000


def settle(server: Server) -> None:
    """Play until the server has made up its mind: ours moves the later sessions of a class that proves fast."""
    for _ in range(2):
        with connected(server.port, 1) as load:
            load.steps(_PROOF)


def _loaded(sessions: int) -> Callable[[Side], AbstractContextManager[Sample]]:
    @contextmanager
    def prepare(side: Side) -> Iterator[Sample]:
        with serving(side) as server:
            settle(server)

            def sample() -> list[float]:
                with connected(server.port, sessions) as load:
                    load.steps(10 * sessions)
                    before = cpu_s(server.pid)
                    took_s = load.steps(_STEPS)
                    return [(cpu_s(server.pid) - before) / _STEPS * 1e6, _STEPS / took_s]

            yield sample

    return prepare


@contextmanager
def _latency(side: Side) -> Iterator[Sample]:
    with serving(side) as server:
        settle(server)

        def sample() -> list[float]:
            with connected(server.port, 1) as load:
                load.latencies(100)
                return [median(load.latencies(5_000)) * 1e6]

        yield sample


def _played(style: str, sessions: int) -> Callable[[Side], AbstractContextManager[Sample]]:
    @contextmanager
    def prepare(side: Side) -> Iterator[Sample]:
        with serving(side) as server:
            settle(server)
            program = (APPS / "play.py", style, server.url, str(sessions), str(_PLAYED // sessions))
            yield lambda: [_PLAYED / float(side.run(*program))]

    return prepare


MEASUREMENTS = (
    Measurement(
        (
            Row("step_1", "server CPU a step, 1 session", "µs", goal=4),
            Row("rate_1", "steps, 1 session, load client", "1/s", Better.MORE),
        ),
        _loaded(1),
    ),
    Measurement(
        (
            Row("step_64", "server CPU a step, 64 sessions", "µs", goal=5),
            Row("rate_64", "steps, 64 sessions, load client", "1/s", Better.MORE),
        ),
        _loaded(64),
    ),
    Measurement((Row("latency", "p50 of a step, 1 session", "µs"),), _latency),
    Measurement(
        (Row("own_async", "steps, own asynchronous client", "1/s", Better.MORE),),
        _played("async", 1),
    ),
    Measurement(
        (Row("own_async_16", "steps, own asynchronous client, 16 sessions", "1/s", Better.MORE),),
        _played("async", 16),
    ),
    Measurement(
        (Row("own_sync", "steps, own synchronous client", "1/s", Better.MORE),),
        _played("sync", 1),
    ),
)
