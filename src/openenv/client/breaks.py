"""How a wait can end without its answer, and what is told of it."""

from __future__ import annotations

from enum import Enum

from openenv.errors import EpisodeLost, OpenEnvError, RemoteProtocolError, SessionNotFound
from openenv.protocol import Failed, Reply

__all__ = [
    "GIVEN_UP_BY_US",
    "PASSING",
    "Break",
    "Broken",
    "Gone",
    "Refused",
    "gone_if",
    "hung_up",
    "lost",
    "reason_of",
    "unknown",
    "unless_gone",
]


class Break(Enum):
    """Why a connection ended under the client; the value is the ``reason`` of ``EpisodeLost``."""

    CONNECTION_LOST = "connection_lost"
    SERVER_STOPPED = "server_stopped"
    MESSAGE_TOO_LARGE = "message_too_large"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    PROTOCOL_ERROR = "protocol_error"


GIVEN_UP_BY_US = {Break.TIMEOUT, Break.CANCELLED, Break.PROTOCOL_ERROR, Break.MESSAGE_TOO_LARGE}
"""Those after which the server does not know that nobody waits any more."""

PASSING = {Break.CONNECTION_LOST, Break.SERVER_STOPPED}
"""Those after which another connection may go on."""


class Broken(Exception):
    """No answer came, or the connection ended. Never leaves this package: a conversation says what it means."""

    def __init__(self, why: Break, message: str) -> None:
        super().__init__(message)
        self.why = why


def hung_up() -> Broken:
    """What becomes of a move whose connection was taken away, by a close from another thread or task."""
    return Broken(Break.CONNECTION_LOST, "this client hung up")


class Gone(Exception):
    """The session is over on the server, as ``error`` says. Never leaves this package."""

    def __init__(self, error: EpisodeLost) -> None:
        super().__init__(error.message)
        self.error = error
        self.reason = str(error.details.get("reason", "unknown"))


class Refused(Exception):
    """The server answered ``error`` where a session should begin; the connection is sound. Never leaves it either."""

    def __init__(self, error: OpenEnvError) -> None:
        super().__init__(error.message)
        self.error = error


def lost(reason: str, message: str) -> EpisodeLost:
    """The error for an episode that is gone."""
    return EpisodeLost(
        f"the episode was lost ({reason}): {message}; call reset() to begin another", details={"reason": reason}
    )


def unknown(message: str = "the server was restarted, or has forgotten the session") -> EpisodeLost:
    return lost("session_unknown", message)


def unless_gone(reply: Reply) -> Reply:
    """The answer to a request; raises ``Gone`` if by it the session is over.

    Where only the episode is lost, the session goes on with another environment at the next reset.
    """
    if isinstance(reply, Failed) and reply.details.get("reason") not in ("stuck", "worker_died", "diverged"):
        gone = gone_if(reply.to_error())
        if gone is not None:
            raise gone
    return reply


def gone_if(error: OpenEnvError) -> Gone | None:
    """What an error says of a session that could be resumed, if that it is over."""
    if isinstance(error, EpisodeLost):
        return Gone(error)
    return Gone(unknown()) if isinstance(error, SessionNotFound) else None


def reason_of(error: BaseException) -> Break:
    """Why a request is given up that ended with ``error`` instead of an answer."""
    match error:
        case Broken(why=why):
            return why
        case RemoteProtocolError():
            return Break.PROTOCOL_ERROR
        case _:  # whatever interrupts the call from outside
            return Break.CANCELLED
