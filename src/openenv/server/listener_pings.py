"""Pings to many connections from one timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Pings"]


class Pings:
    """Pings every connection again and again, so that proxies see traffic; nobody has to answer.

    Args:
        every_s: Seconds between two pings; ``None``: there are none.
    """

    def __init__(self, every_s: float | None) -> None:
        self._every_s = every_s
        self._all: dict[object, Callable[[], None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: object, ping: Callable[[], None]) -> None:
        """Begin with a connection; the running loop is the one to ping from."""
        self._all[connection] = ping
        if self._timer is None:
            self._wait()

    def discard(self, connection: object) -> None:
        """Leave a connection alone, if it was not yet."""
        self._all.pop(connection, None)
        if not self._all and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        if self._every_s is not None:
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self._due)

    def _due(self) -> None:
        self._wait()
        for ping in list(self._all.values()):
            ping()
