"""Answers the pings of servers while nobody asks them anything: some hang up on clients that do not."""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet

__all__ = ["Attendant", "attend", "leave"]

_PERIOD_S = 5.0
"""Servers ping every 20 s as a rule, and wait as long for the answer."""


class Attended(Protocol):
    """A connection that nobody else may be reading."""

    def look(self, *, only_if_idle: bool) -> None:
        """Take in what is there and answer it, without waiting; do nothing while a call does."""


class Attendant:
    """One thread for all connections of synchronous clients, while there are any.

    Args:
        period_s: Seconds between two looks at a connection.
    """

    def __init__(self, period_s: float = _PERIOD_S) -> None:
        self._period_s = period_s
        self._attended: WeakSet[Attended] = WeakSet()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def attend(self, connection: Attended) -> None:
        """Look after a connection from here on, as long as somebody holds it."""
        with self._changed:
            self._attended.add(connection)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="openenv-pings", daemon=True)
                self._thread.start()

    def leave(self, connection: Attended) -> None:
        """Do so no longer."""
        with self._changed:
            self._attended.discard(connection)
            self._changed.notify_all()

    def look(self) -> None:
        """Look once at every connection."""
        with self._changed:
            attended = list(self._attended)
        for connection in attended:
            connection.look(only_if_idle=True)

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: not self._attended, self._period_s):
                    self._thread = None
                    return
            self.look()


_attendant = Attendant()


def attend(connection: Attended) -> None:
    """Have the attendant of this process look after a connection."""
    _attendant.attend(connection)


def leave(connection: Attended) -> None:
    """Have it do so no longer."""
    _attendant.leave(connection)


def _renew() -> None:
    global _attendant
    _attendant = Attendant()  # the thread of the other stayed in the process that forked


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
