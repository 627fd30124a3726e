"""One session as its client sees it, without I/O: what may be asked, what an answer means, what a break costs."""

from __future__ import annotations

import secrets
from enum import Enum
from typing import Any, Generic

from openenv.client.values import Values
from openenv.errors import (
    ConnectionLost,
    EpisodeLost,
    LocalProtocolError,
    OpenEnvError,
    RemoteProtocolError,
    RequestTimeout,
)
from openenv.protocol import (
    ClientConnection,
    Failed,
    Hello,
    Observed,
    Open,
    Opened,
    Reply,
    Request,
    Reset,
    StateIs,
    Step,
)
from openenv.types import ActT, ObsT, StateT, StepResult

__all__ = ["Break", "Conversation"]


class Break(Enum):
    """Why a connection ended under the client; the value is the ``reason`` of ``EpisodeLost``."""

    CONNECTION_LOST = "connection_lost"
    SERVER_STOPPED = "server_stopped"
    MESSAGE_TOO_LARGE = "message_too_large"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


class _Episode(Enum):
    NONE = "none was begun"
    RUNNING = "there is one"
    LOST = "it was lost"


class Conversation(Generic[ActT, ObsT, StateT]):
    """Holds a client to the promise that an episode goes on or is said to be lost, never silently begun anew.

    After a break in an episode, every request but ``reset`` raises ``EpisodeLost``.
    """

    def __init__(self, values: Values[ActT, ObsT, StateT]) -> None:
        self._values = values
        self._episode = _Episode.NONE
        self._why_lost = Break.CONNECTION_LOST
        self.connection: ClientConnection | None = None

    def connected(self, subprotocol: str | None) -> Open | None:
        """Begin anew on a connection; the request that opens the session, where the version has one."""
        self.connection = ClientConnection(subprotocol)
        return Open(nonce=secrets.token_hex(8)) if self.connection.has_sessions else None

    def reset(self, seed: int | None, episode_id: str | None, options: dict[str, Any]) -> Reset:
        """The request that begins an episode. From here on the old one is given up."""
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63):
            raise LocalProtocolError(f"a seed is an integer from 0 to 2**63 - 1, not {seed!r}")
        if episode_id is not None and len(episode_id) > 255:
            raise LocalProtocolError("an episode_id has at most 255 characters")
        self._episode = _Episode.NONE
        return Reset(seed=seed, episode_id=episode_id, options=options)

    def step(self, action: ActT, timeout_s: float | None, options: dict[str, Any]) -> Step:
        """The request that takes an action."""
        if timeout_s is not None and not timeout_s > 0:
            raise LocalProtocolError(f"timeout_s is a number of seconds greater than 0, not {timeout_s!r}")
        return Step(action=self._values.encode_action(action), timeout_s=timeout_s, options=options)

    def check_alive(self) -> None:
        """Raise ``EpisodeLost`` if the episode was lost and not yet begun anew."""
        if self._episode is _Episode.LOST:
            raise _lost(self._why_lost)

    def frame(self, request: Request) -> str:
        """The frame of a request."""
        assert self.connection is not None
        frame = self.connection.send(request)
        hello = self.connection.hello
        if hello is not None and len(frame) > hello.limits.max_message_bytes:
            self.connection.withdraw()
            raise LocalProtocolError(
                f"the message has {len(frame)} bytes; this server takes {hello.limits.max_message_bytes}"
            )
        return frame

    def greeting(self, reply: Reply | None) -> None:
        """Take the server's first frame."""
        if not isinstance(reply, Hello):
            raise RemoteProtocolError("the server accepted protocol v2 but did not greet")

    def opened(self, reply: Reply) -> None:
        """Take the answer to ``Open``."""
        self._expect(reply, Opened)

    def result(self, reply: Reply) -> StepResult[ObsT]:
        """The answer to ``reset`` or ``step``, or the error the server raised."""
        observed = self._expect(reply, Observed)
        self._episode = _Episode.RUNNING
        return self._values.decode_result(observed)

    def state(self, reply: Reply) -> StateT:
        """The answer to ``state``."""
        return self._values.decode_state(self._expect(reply, StateIs).state)

    def broken(self, why: Break, message: str) -> OpenEnvError:
        """Note that the connection has ended, and tell it as an error."""
        self.connection = None
        if self._episode is not _Episode.NONE:
            self._episode, self._why_lost = _Episode.LOST, why
            return _lost(why, message)
        if why is Break.TIMEOUT:
            return RequestTimeout(message)
        return ConnectionLost(message)

    def _expect(self, reply: Reply, kind: type[Any]) -> Any:
        if isinstance(reply, kind):
            return reply
        if isinstance(reply, Failed):
            error = reply.to_error()
            if isinstance(error, EpisodeLost):
                self._episode = _Episode.LOST
            raise error
        raise RemoteProtocolError(f"expected {kind.__name__}, the server answered {type(reply).__name__}")


def _lost(why: Break, message: str = "the connection broke") -> EpisodeLost:
    return EpisodeLost(
        f"the episode was lost ({why.value}): {message}; call reset() to begin another", details={"reason": why.value}
    )
