"""Why sessions that are gone are gone, so that a client that comes late can be told."""

from __future__ import annotations

from enum import StrEnum

from openenv.errors import EpisodeLost, ServerDraining, SessionError

__all__ = ["Departed", "Ending", "gone", "lost"]

MOST_REMEMBERED = 10_000
"""Sessions whose end is remembered; the oldest are forgotten first."""


class Ending(StrEnum):
    """Why a session, or the episode in it, ended: the ``reason`` of ``EpisodeLost``."""

    CLOSED = "closed"
    CONNECTION_LOST = "connection_lost"
    LEASE_EXPIRED = "lease_expired"
    RECLAIMED = "reclaimed"
    IDLE = "idle"
    SERVER_STOPPED = "server_stopped"
    GAVE_WAY = "gave_way"
    STUCK = "stuck"
    WORKER_DIED = "worker_died"
    DIVERGED = "diverged"
    NOT_RESTORED = "not_restored"
    SUSPENDED = "suspended"

    @property
    def told(self) -> str:
        """The same for people."""
        return _TOLD[self]


_TOLD = {
    Ending.CLOSED: "its client closed it",
    Ending.CONNECTION_LOST: "its connection ended",
    Ending.LEASE_EXPIRED: "no connection held it for longer than its lease",
    Ending.RECLAIMED: "no connection held it and another client needed its place",
    Ending.IDLE: "nothing was asked of it for longer than the server's idle time-out",
    Ending.SERVER_STOPPED: "the server was stopped",
    Ending.GAVE_WAY: "the shared session gave its place to another one",
    Ending.STUCK: "a request of it took longer than it may and cannot be ended; process isolation can end one",
    Ending.WORKER_DIED: "the process that its environment lived in died",
    Ending.DIVERGED: "it was played again after a crash and went another way, so its class is not deterministic",
    Ending.SUSPENDED: "the server was stopped and keeps it for its client",
    Ending.NOT_RESTORED: "it was running when the server ended, and could not be restored",
}


def lost(ending: Ending, how: str = "") -> EpisodeLost:
    """The error for an episode that ended that way, with more about how where there is more to say."""
    more = f" ({how})" if how else ""
    return EpisodeLost(
        f"the episode was lost ({ending}): {ending.told}{more}; reset() begins another",
        details={"reason": ending.value},
    )


def gone(ending: Ending) -> SessionError:
    """What is said of a session that ended that way: it is lost, unless the next server goes on with it."""
    if ending is Ending.SUSPENDED:
        return ServerDraining("the server is stopping and keeps the session; it goes on once the server is back")
    return lost(ending)


class Departed:
    """Remembers the ends of sessions, by their id and by the nonce they were opened with.

    Args:
        most: How many to remember.
    """

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._endings: dict[str, Ending] = {}  # oldest first

    def note(self, ending: Ending, *names: str) -> None:
        """Remember an end under these names."""
        for name in names:
            self._endings.pop(name, None)
            self._endings[name] = ending
        while len(self._endings) > self._most:
            del self._endings[next(iter(self._endings))]

    def why(self, name: str) -> Ending | None:
        """How the session of that name ended, if that is remembered."""
        return self._endings.get(name)
