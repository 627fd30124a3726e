"""A real server of one class of environments, looked after: what it must have left when a test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.unit.server.serving import LINES, Line, Running, V1Line, serving
from tests.unit.session.worlds import Move, Seen, World, threads_left, world

from openenv.app import create_app
from openenv.server import listener_for

STEPS_TO_TRUST = 210
LIMIT = 4096
ROUND_ASGI = "v2"
"""The way in whose connections are carried as ``openenv serve`` does it, and not as any server would."""


class Stage:
    """A server of a class of its own, and a line to it whose environment lives where the test wants it."""

    def __init__(self, server: Running, cls: type[World], way: str) -> None:
        self.server, self.ledger, self.way = server, cls.ledger, way
        self.lines: list[Any] = []

    def line(self) -> Any:
        self.lines.append(LINES[self.way](self.server))
        return self.lines[-1]

    def trusted_line(self) -> Any:
        """A line to an environment in the server's own thread; over v1 a class is proven fastest."""
        for _ in range(20):
            line = self.line()
            line.reset()
            if self.ledger.threads(self.ledger.count("made")) == {self.server.thread.ident}:
                return line
            line.close()
            proof = V1Line(self.server)
            proof.reset()
            for _ in range(STEPS_TO_TRUST):
                proof.step()
            proof.close()
            self.server.wait_idle()
        raise AssertionError("a fast class was never trusted")


OpenStage = Callable[..., Stage]


@contextmanager
def stages(way: str) -> Iterator[OpenStage]:
    """Serves a class; afterwards the server still serves, and no place, thread or environment is left over."""
    opened: list[tuple[Stage, Any]] = []

    def open_stage(base: type[World] = World, loop: str = "asyncio", **attributes: Any) -> Stage:
        cls = world(base, **attributes)
        app = create_app(cls, Move, Seen, "world", 4, max_message_bytes=LIMIT)
        context = serving(app, loop, **({"ws": listener_for(app)} if way == ROUND_ASGI else {}))
        made = Stage(context.__enter__(), cls, way)
        opened.append((made, context))
        return made

    yield open_stage
    for made, context in opened:
        made.ledger.gate.set()
        try:
            for line in made.lines:
                line.close()
            made.server.wait_idle()
            assert not threads_left()
        finally:
            context.__exit__(None, None, None)
        made.ledger.check_closed_once()


def check_serves(line: Line) -> None:
    """The session goes on, with an episode of its own."""
    line.reset()
    assert line.step().value == 1
    line.close()
