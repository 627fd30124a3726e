"""What a session may be asked in each phase of its life, as one table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from openenv.environment import Lifecycle
from openenv.errors import EpisodeDone, EpisodeLost, OpenEnvError, ResetNeeded, SessionClosed

__all__ = ["Operation", "Phase", "refusal"]


class Phase(StrEnum):
    """Where a session stands."""

    FRESH = "no episode has begun"
    RUNNING = "an episode is running"
    DONE = "the episode is over"
    LOST = "the episode was lost"
    CLOSED = "the session has ended"


class Operation(StrEnum):
    """What a session can be asked."""

    RESET = "reset"
    STEP = "step"
    STATE = "state"


_STRICT: Mapping[tuple[Phase, Operation], type[OpenEnvError] | None] = {
    (Phase.FRESH, Operation.RESET): None,
    (Phase.FRESH, Operation.STEP): ResetNeeded,
    (Phase.FRESH, Operation.STATE): None,
    (Phase.RUNNING, Operation.RESET): None,
    (Phase.RUNNING, Operation.STEP): None,
    (Phase.RUNNING, Operation.STATE): None,
    (Phase.DONE, Operation.RESET): None,
    (Phase.DONE, Operation.STEP): EpisodeDone,
    (Phase.DONE, Operation.STATE): None,
    (Phase.LOST, Operation.RESET): None,
    (Phase.LOST, Operation.STEP): EpisodeLost,
    (Phase.LOST, Operation.STATE): EpisodeLost,
    (Phase.CLOSED, Operation.RESET): SessionClosed,
    (Phase.CLOSED, Operation.STEP): SessionClosed,
    (Phase.CLOSED, Operation.STATE): SessionClosed,
}

_TABLES: Mapping[Lifecycle, Mapping[tuple[Phase, Operation], type[OpenEnvError] | None]] = {
    "strict": _STRICT,
    "lenient": {
        **_STRICT,
        (Phase.FRESH, Operation.STEP): None,
        (Phase.DONE, Operation.STEP): None,
    },
}

_ADVICE: Mapping[type[OpenEnvError], str] = {
    ResetNeeded: "no episode is running; call reset() first",
    EpisodeDone: "the episode is over; call reset() to begin another",
    EpisodeLost: "the episode was lost; call reset() to begin another",
    SessionClosed: "this session was closed; open another one",
}


def refusal(lifecycle: Lifecycle, phase: Phase, operation: Operation) -> OpenEnvError | None:
    """The error with which an operation is refused in a phase; ``None`` where it is legal."""
    if phase is Phase.RUNNING:  # nothing is: the table says so, and most are asked then
        return None
    error = _TABLES[lifecycle][phase, operation]
    return error(_ADVICE[error]) if error else None
