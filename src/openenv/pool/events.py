"""What a pool tells of itself while it works."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["PoolEvent", "Teller"]

log = logging.getLogger("openenv.pool")


@dataclass(frozen=True, slots=True)
class PoolEvent:
    """Something that happened in a pool.

    Attributes:
        kind: ``answered``: a session answered; ``number`` of the ``of`` that the call asks have. ``queued``: its
            server has no place for it yet; it is at position ``number``. ``running``: its request has been running for
            ``seconds``. ``lost``: its episode is lost. ``endpoint_lost``, ``endpoint_back``: a server is gone, or there
            again.
        index: The session; ``None`` where it is about a server.
        url: The server; empty where it is about a call.
        number, of, seconds: As said above, else 0.
    """

    kind: Literal["answered", "queued", "running", "lost", "endpoint_lost", "endpoint_back"]
    index: int | None = None
    url: str = ""
    number: int = 0
    of: int = 0
    seconds: float = 0.0


class Teller:
    """Tells a user what happens.

    Args:
        on_progress: Whom; ``None``: nobody.

    Attributes:
        is_heard: Whether there is anybody, so that it is worth the effort.
    """

    def __init__(self, on_progress: Callable[[PoolEvent], object] | None) -> None:
        self._on_progress = on_progress
        self.is_heard = on_progress is not None

    def __call__(self, event: PoolEvent) -> None:
        if self._on_progress is None:
            return
        try:
            self._on_progress(event)
        except Exception:  # a user's function may raise anything; the sessions must go on
            log.exception("on_progress failed")

    def queued(self, index: int, position: int) -> None:
        """A session waits for a place."""
        self(PoolEvent("queued", index, number=position))

    def running(self, index: int, elapsed_s: float) -> None:
        """A session's request takes long."""
        self(PoolEvent("running", index, seconds=elapsed_s))

    def changed(self, url: str, *, is_back: bool) -> None:
        """A server is gone, or there again."""
        self(PoolEvent("endpoint_back" if is_back else "endpoint_lost", url=url))
