"""Where the next session of a class runs: on a thread of its own, or, proven fast, in the server's thread.

The decision is made once for each environment, when it is created. One that lives stays where it is; a session whose
class is deterministic may be given another one at a reset (``Rescue.has_better``).
"""

from __future__ import annotations

import resource
import threading
from dataclasses import dataclass
from enum import Enum
from time import thread_time

__all__ = [
    "CLOSE",
    "CREATE",
    "CROWD",
    "OFFER",
    "PROOF_STEPS",
    "RESET",
    "SLOW_INLINE_S",
    "STATE",
    "STEP",
    "WATCHED_CALLS",
    "Kind",
    "Placement",
    "SpeedRecord",
    "ThreadUse",
]

PROOF_STEPS = 200
"""Steps in a row without a slow call before a class is trusted."""

SLOW_INLINE_S = 0.020
"""A call in the server's thread that takes longer than this demotes its class: everyone waited for it."""

SLOW_WALL_S = 0.005
"""A call on a thread that takes longer counts as waiting; a few are forgiven: threads also wait for each other."""

WATCHED_CALLS = 1000
"""Calls that are looked at closely after a slow one in the server's thread: a second one demotes the class."""

CROWD = 4
"""Calls on threads from which on more of them wait for each other."""

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
OFFER = Kind("offer", 0.005)
CLOSE = Kind("close", 0.020)


class SpeedRecord:
    """How fast the calls of one environment class were, and what follows from it.

    A class starts on threads. It is trusted after ``PROOF_STEPS`` steps in a row, with at least one creation and
    one reset among them, none of which took more processor time than its kind's limit and nearly all of which
    took no longer than ``SLOW_WALL_S``. A slow call starts the proof anew, also after it succeeded: but since on a busy
    machine a call looks slow whose thread had to wait for a processor, in the server's thread the first one only makes
    it look closely for the next ``WATCHED_CALLS``. What is known of creations outlives slow calls of other kinds.
    Calls may be recorded from any thread.

    Attributes:
        watched: Calls in the server's thread that are still to be looked at closely.
    """

    def __init__(self) -> None:
        self._allowed = True
        self._lock = threading.Lock()
        self._under_way = 0
        self._restart()

    def _restart(self) -> None:
        self._seen = dict.fromkeys((CREATE, RESET, STEP, STATE, OFFER, CLOSE), 0)
        self._waited = 0
        self._proven = False
        self.watched = 0

    def forbid_inline(self) -> None:
        """Keep all later sessions on threads of their own."""
        self._allowed = False

    @property
    def placement(self) -> Placement:
        """Where the next session of the class is to live."""
        return Placement.INLINE if self._proven and self._allowed else Placement.THREAD

    def begin_threaded(self) -> bool:
        """A call begins on a thread of its own, to end with ``record_threaded``; whether it is one of a crowd."""
        with self._lock:
            self._under_way += 1
            return self._under_way > CROWD

    def record_threaded(self, kind: Kind, wall_s: float, cpu_s: float, crowded: bool | None = None) -> None:
        """Take note of a call that ran on a thread of its own.

        Args:
            kind: What was called.
            wall_s: How long it took.
            cpu_s: How much processor time.
            crowded: What ``begin_threaded`` told, where it was asked: in a crowd, ``wall_s`` tells nothing of the call.
        """
        with self._lock:
            self._under_way -= crowded is not None
            if cpu_s > kind.limit_s:
                created = self._seen[CREATE] if kind is not CREATE else 0
                self._restart()
                self._seen[CREATE] = created  # nobody may ever create another one
                return
            self._seen[kind] += 1
            self._waited += wall_s > SLOW_WALL_S and not crowded
            if self._seen[STEP] >= PROOF_STEPS and self._seen[CREATE] and self._seen[RESET]:
                if self._waited <= FORGIVEN * sum(self._seen.values()):
                    self._proven = True
                else:
                    self._restart()

    def record_inline(self, wall_s: float, *, preempted: bool = False) -> None:
        """Take note of a call, or of one stretch of an awaited call, in the server's thread.

        Args:
            wall_s: How long it took.
            preempted: Whether it is known that the thread waited for a processor most of that time.
        """
        is_watched = self.watched > 0
        self.watched -= is_watched
        if wall_s <= SLOW_INLINE_S or preempted:
            return
        if is_watched:
            with self._lock:
                self._restart()
        else:
            self.watched = WATCHED_CALLS


_THIS_THREAD: int | None = getattr(resource, "RUSAGE_THREAD", None)  # what only Linux tells


def _waits() -> int | None:
    """How often the calling thread has waited for anything but a processor; ``None``: the system does not tell."""
    return None if _THIS_THREAD is None else resource.getrusage(_THIS_THREAD).ru_nvcsw


class ThreadUse:
    """How the calling thread uses its processor, from when this was made."""

    def __init__(self) -> None:
        self._cpu_s, self._waits = thread_time(), _waits()

    def was_preempted(self, wall_s: float) -> bool:
        """Whether it is known that, of the time since, it waited for a processor for the most part, and for no more."""
        cpu_s = thread_time() - self._cpu_s
        return cpu_s < min(wall_s / 2, SLOW_INLINE_S) and self._waits is not None and _waits() == self._waits
