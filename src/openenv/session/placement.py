"""Where the next session of a class runs: on a thread of its own, or, proven fast, in the server's thread.

The decision is made once per session, at its creation, and never changed for a live environment.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Enum

__all__ = ["CLOSE", "CREATE", "PROOF_STEPS", "RESET", "STATE", "STEP", "Kind", "Placement", "SpeedRecord"]

PROOF_STEPS = 200
"""Steps in a row without a slow call before a class is trusted."""

SLOW_INLINE_S = 0.020
"""A call in the server's thread that takes longer than this demotes its class: everyone waited for it."""

SLOW_WALL_S = 0.005
"""A call on a thread that takes longer counts as waiting; a few are forgiven: threads also wait for each other."""

FORGIVEN = 0.02
"""Share of calls that may be over ``SLOW_WALL_S``."""


class Placement(Enum):
    """Where an environment lives."""

    THREAD = "thread"
    INLINE = "inline"
    PROCESS = "process"


@dataclass(frozen=True)
class Kind:
    """A kind of call and the processor time, in seconds, that it may take in the server's thread."""

    name: str
    limit_s: float


CREATE = Kind("create", 0.020)
RESET = Kind("reset", 0.005)
STEP = Kind("step", 0.001)
STATE = Kind("state", 0.001)
CLOSE = Kind("close", 0.020)


class SpeedRecord:
    """How fast the calls of one environment class were, and what follows from it.

    A class starts on threads. It is trusted after ``PROOF_STEPS`` steps in a row, with at least one creation and
    one reset among them, none of which took more processor time than its kind's limit and nearly all of which
    took no longer than ``SLOW_WALL_S``. A slow call starts the proof anew, also after it succeeded.
    Calls may be recorded from any thread.
    """

    def __init__(self) -> None:
        self._allowed = True
        self._lock = threading.Lock()
        self._restart()

    def _restart(self) -> None:
        self._seen = dict.fromkeys((CREATE, RESET, STEP, STATE, CLOSE), 0)
        self._waited = 0
        self._proven = False

    def forbid_inline(self) -> None:
        """Keep all later sessions on threads of their own."""
        self._allowed = False

    @property
    def placement(self) -> Placement:
        """Where the next session of the class is to live."""
        return Placement.INLINE if self._proven and self._allowed else Placement.THREAD

    def record_threaded(self, kind: Kind, wall_s: float, cpu_s: float) -> None:
        """Take note of a call that ran on a thread of its own: its duration and its processor time."""
        with self._lock:
            if cpu_s > kind.limit_s:
                self._restart()
                return
            self._seen[kind] += 1
            self._waited += wall_s > SLOW_WALL_S
            if self._seen[STEP] >= PROOF_STEPS and self._seen[CREATE] and self._seen[RESET]:
                if self._waited <= FORGIVEN * sum(self._seen.values()):
                    self._proven = True
                else:
                    self._restart()

    def record_inline(self, wall_s: float) -> None:
        """Take note of a call, or of one stretch of an awaited call, that held the server's thread."""
        if wall_s > SLOW_INLINE_S:
            with self._lock:
                self._restart()
