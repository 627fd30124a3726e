"""Word of a request that takes its time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["StillRunning"]


class StillRunning:
    """Tells again and again that a request is still running, until ``stop``.

    Args:
        every_s: Seconds between.
        in_background: Runs what nobody waits for.
        tell: Told how long it has been, in seconds.
    """

    def __init__(
        self,
        every_s: float,
        in_background: Callable[[Coroutine[Any, Any, None]], None],
        tell: Callable[[float], Coroutine[Any, Any, None]],
    ) -> None:
        self._every_s = every_s
        self._in_background = in_background
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._timer = self._loop.call_later(every_s, self._due)

    def stop(self) -> None:
        """Tell no more."""
        self._timer.cancel()

    def _due(self) -> None:
        self._in_background(self._tell(round(self._loop.time() - self._began, 3)))
        self._timer = self._loop.call_later(self._every_s, self._due)
