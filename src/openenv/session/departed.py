"""Why sessions that are gone are gone, so that a client that comes late can be told."""

from __future__ import annotations

from enum import StrEnum

from openenv.errors import EpisodeLost

__all__ = ["Departed", "Ending", "lost"]

MOST_REMEMBERED = 10_000
"""Sessions whose end is remembered; the oldest are forgotten first."""


class Ending(StrEnum):
    """Why a session ended: the ``reason`` of ``EpisodeLost``."""

    CLOSED = "closed"
    CONNECTION_LOST = "connection_lost"
    LEASE_EXPIRED = "lease_expired"
    RECLAIMED = "reclaimed"
    IDLE = "idle"
    SERVER_STOPPED = "server_stopped"
    GAVE_WAY = "gave_way"

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
}


def lost(ending: Ending) -> EpisodeLost:
    """The error for a session that ended that way."""
    return EpisodeLost(
        f"the episode was lost ({ending}): {ending.told}; reset() begins another", details={"reason": ending.value}
    )


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
