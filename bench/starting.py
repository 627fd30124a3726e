"""How long it takes to begin: importing a client, and the server's cold start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.measurement import Measurement, Row, Sample
from bench.processes import cpu_s
from bench.servers import serving
from bench.sides import Side

__all__ = ["MEASUREMENTS"]

_OURS = "from openenv import EnvClient"
_PEERS = "from openenv.core import EnvClient"
# Processor time of the statement alone, in all threads and in children it may start, without the interpreter's start.
_TIMED = """
import os, time
def used():
    times = os.times()
    return time.process_time() + times.children_user + times.children_system
begun = used()
{statement}
print((used() - begun) * 1000)
"""
# What a user waits for who imports lazily loaded names: everything up to the first answer of a server.
_FIRST_REPLY = """
from openenv.core import GenericEnvClient
with GenericEnvClient(base_url={url!r}).sync() as client:
    client.reset()
"""


def _importing(statement_of: Callable[[Side], str]) -> Callable[[Side], Iterator[Sample]]:
    def prepare(side: Side) -> Iterator[Sample]:
        yield lambda: [float(side.run("-c", _TIMED.format(statement=statement_of(side))))]

    return prepare


@contextmanager
def _first_reply(side: Side) -> Iterator[Sample]:
    with serving(side) as server:
        program = _TIMED.format(statement=_FIRST_REPLY.format(url=server.url))
        yield lambda: [float(side.run("-c", program))]


@contextmanager
def _cold_start(side: Side) -> Iterator[Sample]:
    def sample() -> list[float]:
        with serving(side) as server:
            return [cpu_s(server.pid) * 1000, server.started_in_s * 1000]

    yield sample


MEASUREMENTS = (
    Measurement(
        (Row("import", "import of the client, CPU", "ms", goal=20),),
        contextmanager(_importing(lambda side: _OURS if side.name == "ours" else _PEERS)),
    ),
    Measurement(
        (Row("import_old", "import of the client by its old name, CPU", "ms"),),
        contextmanager(_importing(lambda _: _PEERS)),
    ),
    Measurement((Row("first_reply", "client: import to first reply, CPU", "ms"),), _first_reply),
    Measurement(
        (
            Row("cold_start", "server: start to first healthy answer, CPU", "ms", goal=7),
            Row("cold_start_wall", "server: start to first healthy answer, wall", "ms"),
        ),
        _cold_start,
    ),
)
