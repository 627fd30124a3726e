"""What a tool call over HTTP costs, and what an MCP session takes that does nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from bench.mcp_load import Caller, older_caller, peer_caller, stateless_caller
from bench.measurement import Entrant, Measurement, Prepare, Row, Sample
from bench.processes import cpu_s, usage
from bench.servers import Way, serving
from bench.sides import Sides

__all__ = ["MEASUREMENTS"]

_WARM_UP, _CALLS = 300, 2000
_FIRST, _SESSIONS = 32, 64
_CREATE_APP = Way(app="tools_app:app")
_SERVE = Way(app="tools_app:app", serve=())


def _calling(name: str, way: Way, connect: Callable[[int], Caller]) -> Prepare:
    @contextmanager
    def prepare(sides: Sides) -> Iterator[Sample]:
        with serving(getattr(sides, name), way) as server:
            for _ in range(2):  # the later sessions of a class that proves fast live elsewhere
                with closing(connect(server.port)) as caller:
                    caller.calls(_WARM_UP)

            def sample() -> list[float]:
                with closing(connect(server.port)) as caller:
                    caller.calls(100)
                    before = cpu_s(server.pid)
                    caller.calls(_CALLS)
                    return [(cpu_s(server.pid) - before) / _CALLS * 1e3]

            yield sample

    return prepare


def _idle(name: str, connect: Callable[[int], Caller]) -> Prepare:
    """What sessions take that come to others, each with the environment that is its own."""

    @contextmanager
    def prepare(sides: Sides) -> Iterator[Sample]:
        def sample() -> list[float]:
            with serving(getattr(sides, name), _CREATE_APP) as server:
                for count in (_WARM_UP, _WARM_UP, *[20] * _FIRST):
                    with closing(connect(server.port)) as caller:
                        caller.calls(count)
                before = usage(server.pid)
                for _ in range(_SESSIONS):
                    with closing(connect(server.port)) as caller:
                        caller.calls(20)
                after = usage(server.pid)
                return [(after.memory_mib - before.memory_mib) * 2**20 / 1000 / _SESSIONS]

        yield sample

    return prepare


def _row(name: str, what: str) -> tuple[Row]:
    return (Row(name, f"{what}: server CPU a tools/call over HTTP", "ms", goal=8),)


MEASUREMENTS = (
    Measurement(
        _calling("peer", _CREATE_APP, peer_caller),
        (
            Entrant(_row("mcp_call", "create_app, MCP 2025-11-25"), _calling("ours", _CREATE_APP, older_caller)),
            Entrant(
                _row("mcp_call_2026", "create_app, MCP 2026-07-28"), _calling("ours", _CREATE_APP, stateless_caller)
            ),
            Entrant(_row("mcp_call_old", "create_app, JSON-RPC of 0.10"), _calling("ours", _CREATE_APP, peer_caller)),
            Entrant(_row("mcp_call_serve", "openenv serve, MCP 2025-11-25"), _calling("ours", _SERVE, older_caller)),
        ),
    ),
    Measurement(
        _idle("peer", peer_caller),
        (
            Entrant(
                (Row("mcp_session", "memory an idle MCP session with its environment, of 64", "kB", at_most=40),),
                _idle("ours", older_caller),
            ),
        ),
        warm_up=False,
    ),
)
