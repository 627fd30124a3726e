"""The thread on which all outside servers are talked to, whatever loop or thread an environment lives on."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["in_background"]

T = TypeVar("T")


class _Background:
    """A loop on a thread that lives as long as its process; what it holds ends with the process."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self._work, name="openenv-mounts", daemon=True).start()

    def _work(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


_lock = threading.Lock()
_background: _Background | None = None


def in_background(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine there. Cancelling the future cancels it."""
    global _background
    with _lock:
        if _background is None or _background.owner != os.getpid():  # a fork has no copy of the thread
            _background = _Background()
        return asyncio.run_coroutine_threadsafe(coroutine, _background.loop)


def _let_go() -> None:
    """In a fork, where the loop of the parent must not be touched."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_let_go)
