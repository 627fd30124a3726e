"""How long it takes a client to begin: its import, and its way to the first reply."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.measurement import Entrant, Measurement, Prepare, Row, Sample
from bench.servers import serving
from bench.sides import Side, Sides

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


def _importing(name: str, statement: str) -> Prepare:
    @contextmanager
    def prepare(sides: Sides) -> Iterator[Sample]:
        side: Side = getattr(sides, name)
        yield lambda: [float(side.run("-c", _TIMED.format(statement=statement)))]

    return prepare


def _first_reply(name: str) -> Prepare:
    @contextmanager
    def prepare(sides: Sides) -> Iterator[Sample]:
        side: Side = getattr(sides, name)
        with serving(side) as server:
            program = _TIMED.format(statement=_FIRST_REPLY.format(url=server.url))
            yield lambda: [float(side.run("-c", program))]

    return prepare


MEASUREMENTS = (
    Measurement(
        _importing("peer", _PEERS),
        (
            Entrant((Row("import", "import of the client, CPU", "ms", goal=20),), _importing("ours", _OURS)),
            Entrant((Row("import_old", "import by its old name, CPU", "ms"),), _importing("ours", _PEERS)),
        ),
    ),
    Measurement(
        _first_reply("peer"),
        (Entrant((Row("first_reply", "client: import to first reply, CPU", "ms"),), _first_reply("ours")),),
    ),
)
