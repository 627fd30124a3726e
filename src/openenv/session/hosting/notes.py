"""The way of notes from an environment, on whatever thread it says something, to the server's thread."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openenv.tools import Note

__all__ = ["MOST_NOTES", "NoteWay"]

MOST_NOTES = 1000
"""Notes of one environment that may wait to be heard; what is said beyond is lost."""


class NoteWay:
    """Brings notes to who listens, in order, and before the answer of the call that they belong to.

    To be made in the server's thread. Called with a note, from any thread.

    Attributes:
        sink: Who listens, in the server's thread, with its event loop in sight; ``None``: nobody.
    """

    def __init__(self) -> None:
        self.sink: Callable[[Note], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._waiting: deque[Note] = deque()
        self._is_due = False  # whether the loop will flush

    def __call__(self, note: Note) -> None:
        """Take a note."""
        if self.sink is None:
            return
        is_here = threading.get_ident() == self._thread
        if is_here and asyncio._get_running_loop() is not None:
            self.flush()
            self.sink(note)
        elif len(self._waiting) < MOST_NOTES:  # from elsewhere, or of a synchronous call, which sees no loop
            self._waiting.append(note)
            if not self._is_due:
                self._is_due = True
                with suppress(RuntimeError):  # the server has ended
                    (self._loop.call_soon if is_here else self._loop.call_soon_threadsafe)(self.flush)

    def flush(self) -> None:
        """Bring what waits. To be called in the server's thread, when a call has ended."""
        self._is_due = False  # before: what is put in from now on finds it so, or is taken out here
        while self._waiting:
            note = self._waiting.popleft()
            if self.sink is not None:
                self.sink(note)
