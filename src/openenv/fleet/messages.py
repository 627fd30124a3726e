"""What workers and the desk say to each other. A ``call`` is the number under which a worker asked, and is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

__all__ = [
    "Ask",
    "Capacity",
    "Census",
    "Claim",
    "CountRoom",
    "Drained",
    "Drop",
    "FromDesk",
    "FromWorker",
    "GiveBack",
    "Granted",
    "Here",
    "Keep",
    "MayClose",
    "News",
    "Place",
    "Placed",
    "Position",
    "Reclaim",
    "Refused",
    "Room",
    "WorkerCensus",
    "read_from_desk",
    "read_from_worker",
    "written",
]


class _Said(msgspec.Struct, array_like=True, tag=True):
    """Both ends are of one version: fields have no names on the line."""


class News(_Said):
    """What a worker knows that concerns all.

    Attributes:
        limit: Sessions at the same time; ``None`` while its class is not known and nobody asked for a number.
        concurrent: Whether several sessions may live side by side.
        stuck: Environments that hang.
        failure: Why no session of it can go on, if none can.
    """

    limit: int | None
    concurrent: bool
    stuck: int = 0
    failure: str | None = None


class Here(_Said):
    """A worker takes sessions.

    Attributes:
        kept: Places of sessions that it found in its journal.
        nonces: Digests of the nonces that these were opened with.
    """

    kept: int
    nonces: list[bytes]
    news: News


class Place(_Said):
    """Where is the session of that nonce to be? The digest is empty where it has none."""

    call: int
    digest: bytes


class Placed(_Said):
    call: int
    worker: int


class Claim(_Said):
    """A session wants a place; see ``Places.claim``."""

    call: int
    wait_s: float
    patience_s: float
    news: News


class Drop(_Said):
    """Nobody waits for that place any more; one that was granted is given back."""

    call: int


class Position(_Said):
    """In the queue; 1 is next."""

    call: int
    position: int


class Granted(_Said):
    call: int


class Refused(_Said):
    """An error, as its row in ``openenv.errors.ERRORS`` has it."""

    call: int
    code: str
    message: str
    details: dict[str, Any]


class GiveBack(_Said):
    """A place is free again."""


class Keep(_Said):
    """So many places are taken, whether or not there are so many."""

    count: int


class Capacity(_Said):
    """How many places there are in all."""

    capacity: int


class CountRoom(_Said):
    """How many places are coming back, and how long has nobody held the session that may be ended first?"""

    call: int


class Room(_Said):
    call: int
    coming_back: int
    detached_s: float | None


class Reclaim(_Said):
    """End that session."""


class Drained(_Said):
    """All sessions of this worker have ended; its connections still carry those of others."""


class MayClose(_Said):
    """They carry none any more."""


class Ask(_Said):
    """How does the whole stand?"""

    call: int


class WorkerCensus(_Said):
    """How one worker stands."""

    index: int
    pid: int
    is_up: bool
    active: int
    waiting: int
    stuck: int


class Census(_Said):
    """How the whole stands."""

    call: int
    capacity: int
    active: int
    waiting: int
    stuck: int
    failure: str | None
    workers: list[WorkerCensus]


FromWorker = Here | News | Place | Claim | Drop | GiveBack | Keep | Room | Drained | Ask
FromDesk = Placed | Position | Granted | Refused | Capacity | CountRoom | Reclaim | MayClose | Census

read_from_worker: Callable[[bytes], FromWorker] = msgspec.msgpack.Decoder(FromWorker).decode
read_from_desk: Callable[[bytes], FromDesk] = msgspec.msgpack.Decoder(FromDesk).decode
written: Callable[[FromWorker | FromDesk], bytes] = msgspec.msgpack.Encoder().encode
