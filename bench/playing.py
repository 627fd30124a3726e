"""Steps a second with the clients that users have: each side's own, and the peer's on our server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.comparing import Better
from bench.measurement import Entrant, Measurement, Prepare, Row, Sample
from bench.servers import CREATE_APP, SERVE, Way, serving
from bench.sides import APPS, Sides
from bench.stepping import settle

__all__ = ["MEASUREMENTS"]

_SESSIONS = 64


def _played(client: str, server: str, way: Way, steps: int, *styles: str) -> Prepare:
    """The client of one side on the server of another, in the given styles or all three of ``play.py``."""

    @contextmanager
    def prepare(sides: Sides) -> Iterator[Sample]:
        with serving(getattr(sides, server), way) as running:
            settle(running)
            program = (APPS / "play.py", running.url, str(steps), *styles)
            yield lambda: [steps / float(line) for line in getattr(sides, client).run(*program).split()]

    return prepare


@contextmanager
def _pooled(sides: Sides) -> Iterator[Sample]:
    """Our pool on ``openenv serve``."""
    steps = _SESSIONS * 300
    with serving(sides.ours, SERVE) as running:
        settle(running)
        program = (APPS / "play_pool.py", running.url, str(steps), str(_SESSIONS))
        yield lambda: [steps / float(sides.ours.run(*program))]


def _rows(prefix: str, what: str, *goals: float | None) -> tuple[Row, ...]:
    ways = {"sync": "synchronous", "async": "asynchronous", "async_16": "asynchronous, 16 sessions"}
    return tuple(
        Row(f"{prefix}_{way}", f"{what}, {words}: steps", "1/s", Better.MORE, goal=goal)
        for (way, words), goal in zip(ways.items(), goals, strict=True)
    )


# With one session the peer's own client takes most of a step, so that no server could reach the goal there.
MEASUREMENTS = (
    Measurement(
        _played("peer", "peer", CREATE_APP, 1_600),
        (
            Entrant(_rows("own", "our client on openenv serve", 15, 12, 12), _played("ours", "ours", SERVE, 8_000)),
            Entrant(
                _rows("peers", "the peer's client on openenv serve", None, None, 4),
                _played("peer", "ours", SERVE, 1_600),
            ),
        ),
    ),
    Measurement(
        _played("peer", "peer", CREATE_APP, _SESSIONS * 25, f"async{_SESSIONS}"),
        (Entrant((Row("pool_64", "EnvPool of 64 sessions: steps", "1/s", Better.MORE),), _pooled),),
    ),
)
