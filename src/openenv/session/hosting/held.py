"""How long a call, awaited or not, holds its thread without a pause."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator
from time import perf_counter, thread_time
from typing import Any

__all__ = ["Held"]


class Held:
    """Calls a function, awaits what it returns, and keeps the longest time it held the thread without a pause.

    Attributes:
        longest_s: That time.
        longest_cpu_s: The longest processor time between two pauses.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self.longest_s = 0.0
        self.longest_cpu_s = 0.0

    def __await__(self) -> Generator[Any, Any, Any]:
        began = perf_counter(), thread_time()
        try:
            result = self._function()
        finally:
            self._note(*began)
        if not inspect.isawaitable(result):
            return result
        return (yield from self._drive(result))

    def _drive(self, awaitable: Awaitable[Any]) -> Generator[Any, Any, Any]:
        steps = awaitable.__await__()
        resume: Callable[[], Any] = lambda: steps.send(None)  # noqa: E731 - replaced below when something is thrown in
        while True:
            began = perf_counter(), thread_time()
            try:
                signal = resume()
            except StopIteration as stop:
                return stop.value
            finally:
                self._note(*began)
            try:
                yield signal
            except BaseException as thrown:  # noqa: BLE001 - passed on into the awaited code, as await does
                error = thrown
                resume = lambda: steps.throw(error)  # noqa: B023, E731 - called before the next iteration
            else:
                resume = lambda: steps.send(None)  # noqa: E731

    def _note(self, began: float, began_cpu: float) -> None:
        self.longest_s = max(self.longest_s, perf_counter() - began)
        self.longest_cpu_s = max(self.longest_cpu_s, thread_time() - began_cpu)
