"""One session as its client sees it, without I/O: what may be asked, what an answer means, what a break costs."""

from __future__ import annotations

import math
import secrets
import threading
from collections.abc import Iterator
from enum import Enum
from typing import Any, Generic

from openenv.client.values import Values
from openenv.errors import (
    CapacityReached,
    ConnectFailed,
    ConnectionLost,
    EpisodeLost,
    FactoryFailed,
    LocalProtocolError,
    MessageTooLarge,
    OpenEnvError,
    RemoteProtocolError,
    RequestTimeout,
    SessionClosed,
)
from openenv.protocol import (
    ClientConnection,
    Closed,
    EncodingFailed,
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

__all__ = ["Break", "Broken", "Conversation"]


class Break(Enum):
    """Why a connection ended under the client; the value is the ``reason`` of ``EpisodeLost``."""

    CONNECTION_LOST = "connection_lost"
    SERVER_STOPPED = "server_stopped"
    MESSAGE_TOO_LARGE = "message_too_large"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    PROTOCOL_ERROR = "protocol_error"


class Broken(Exception):
    """The connection ended under a request. Never leaves this package: ``Conversation.broken`` says what it means."""

    def __init__(self, why: Break, message: str) -> None:
        super().__init__(message)
        self.why = why


_GIVEN_UP_BY_US = {Break.TIMEOUT, Break.CANCELLED, Break.PROTOCOL_ERROR, Break.MESSAGE_TOO_LARGE}
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0


class _Episode(Enum):
    NONE = "none was begun"
    BEGINNING = "one was asked for; whether it has begun is not known"
    RUNNING = "there is one"
    LOST = "it was lost"
    CLOSED = "the client was closed"


class Conversation(Generic[ActT, ObsT, StateT]):
    """Holds a client to the promise that an episode goes on or is said to be lost, never silently begun anew.

    After a break in an episode, every request but ``reset`` raises ``EpisodeLost``; after ``closed``, every one
    but ``reset`` raises ``SessionClosed``.
    """

    def __init__(self, values: Values[ActT, ObsT, StateT]) -> None:
        self._values = values
        self._episode = self._before = _Episode.NONE
        self._why_lost = ""
        self._connection: ClientConnection | None = None
        self._turn = threading.Lock()  # of a synchronous client two threads may ask at the same moment
        self._takes_place = False  # the server may keep a place for this connection
        self._closed_meanwhile = False  # since the turn was taken
        self._left_place = False  # it may still be closing the session of one that was given up
        self.has_session = False

    # Whose turn it is ----------------------------------------------------------------------------

    def try_turn(self) -> bool:
        """Take the turn to ask; False while another call has it."""
        if not self._turn.acquire(blocking=False):
            return False
        self._closed_meanwhile = False
        return True

    def begin_turn(self) -> None:
        """Take the turn to ask; raises ``LocalProtocolError`` while another call has it."""
        if not self.try_turn():
            raise LocalProtocolError("this client waits for an answer already; use one client per session")

    def end_turn(self) -> None:
        """Give the turn back."""
        self._turn.release()

    # Connecting ----------------------------------------------------------------------------------

    def connected(self, subprotocol: str | None) -> Open | None:
        """Begin on a new connection; the request that opens the session, where the version has one."""
        self.go_on()
        self._connection = ClientConnection(subprotocol)
        self.has_session = self._takes_place = not self._connection.has_sessions
        if self._episode is _Episode.CLOSED:
            self._episode = _Episode.NONE
        return Open(nonce=secrets.token_hex(8)) if self._connection.has_sessions else None

    def greeting(self, reply: Reply) -> None:
        """Take the server's first frame."""
        if not isinstance(reply, Hello):
            raise RemoteProtocolError("the server accepted protocol v2 but did not greet")

    def opened(self, reply: Reply) -> None:
        """Take the answer to ``Open``."""
        self._expect(reply, Opened)
        self.has_session, self._left_place = True, False

    def placed(self, reply: Reply) -> Reply:
        """The same reply; raises ``CapacityReached`` if by it a v1 server, which opens no sessions, says it is full."""
        if isinstance(reply, Failed) and reply.code == CapacityReached.code and not self.answers_close:
            self._expect(reply, Opened)
        self._left_place = False
        return reply

    def pauses(self, limit_s: float) -> Iterator[float]:
        """Seconds to wait before each further attempt at a place, growing, ``limit_s`` in all; the first is due after
        a ``CapacityReached``. There are none unless the place may be one that this client gave up itself."""
        pause_s, waited_s = _FIRST_PAUSE_S, 0.0
        while self._left_place and waited_s < limit_s:
            pause_s = min(pause_s, limit_s - waited_s)
            yield pause_s
            waited_s += pause_s
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self._left_place = False  # who waited in vain is told at once the next time

    def go_on(self) -> None:
        """Raise ``SessionClosed`` if the client was closed by another thread or task since the turn was taken."""
        if self._closed_meanwhile:
            raise SessionClosed("this client was closed while it waited for an answer")

    @property
    def hello(self) -> Hello | None:
        """The server's greeting on this connection; ``None`` without one, and in v1."""
        return None if self._connection is None else self._connection.hello

    @property
    def answers_close(self) -> bool:
        """Whether the server says how closing the session went; in v1 it just ends the connection."""
        return self._connection is not None and self._connection.has_sessions

    def closed(self) -> None:
        """Note that the client was closed."""
        self._leave()
        self._closed_meanwhile = True
        self._episode, self._connection, self.has_session = _Episode.CLOSED, None, False

    # Asking --------------------------------------------------------------------------------------

    def reset(self, seed: int | None, episode_id: str | None, options: dict[str, Any]) -> Reset:
        """The request that begins an episode."""
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63):
            raise LocalProtocolError(f"a seed is an integer from 0 to 2**63 - 1, not {seed!r}")
        if episode_id is not None and not (isinstance(episode_id, str) and len(episode_id) <= 255):
            raise LocalProtocolError(f"an episode_id is a text of at most 255 characters, not {episode_id!r}")
        return Reset(seed=seed, episode_id=episode_id, options=options)

    def step(self, action: ActT, timeout_s: float | None, options: dict[str, Any]) -> Step:
        """The request that takes an action."""
        if timeout_s is not None:
            is_number = isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool)
            if not (is_number and timeout_s > 0 and math.isfinite(timeout_s)):
                raise LocalProtocolError(f"timeout_s is a number of seconds greater than 0, not {timeout_s!r}")
        return Step(action=self._values.encode_action(action), timeout_s=timeout_s, options=options)

    def admit(self, request: Request) -> None:
        """Raise ``EpisodeLost`` or ``SessionClosed`` where only a reset may follow and this is none."""
        if isinstance(request, Reset):
            return
        if self._episode is _Episode.LOST:
            raise _lost(self._why_lost)
        if self._episode is _Episode.CLOSED:
            raise SessionClosed("this client was closed; reset() connects again and begins a new episode")

    def frame(self, request: Request) -> str:
        """The frame of a request. Where this raises, nothing was sent and everything is as it was."""
        connection = self._connection  # read first: it is gone only after a close is noted
        self.go_on()
        assert connection is not None
        try:
            frame = connection.send(request)
        except OpenEnvError:
            raise
        except (EncodingFailed, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise LocalProtocolError(f"the options cannot be sent as JSON: {error}") from error
        hello = connection.hello
        limit = hello.limits.max_message_bytes if hello is not None else math.inf
        if len(frame) * 4 > limit and (size := len(frame.encode())) > limit:  # a character takes up to 4 bytes
            connection.withdraw()
            raise LocalProtocolError(f"the message has {size} bytes; this server takes {limit}")
        self._takes_place = self._takes_place or isinstance(request, Open)
        self._before = self._episode
        if isinstance(request, Reset) or (isinstance(request, Step) and self._episode is _Episode.NONE):
            self._episode = _Episode.BEGINNING
        return frame

    # Answers -------------------------------------------------------------------------------------

    def receive(self, frame: str | bytes) -> Reply | None:
        """The reply in an arriving frame; ``None`` if it answers nothing that is still waited for."""
        connection = self._connection  # read first: it is gone only after a close is noted
        self.go_on()
        assert connection is not None
        reply = connection.receive(frame)
        if isinstance(reply, Closed) or (isinstance(reply, Failed) and reply.code == CapacityReached.code):
            self._takes_place = False
        return reply

    def result(self, reply: Reply) -> StepResult[ObsT]:
        """The answer to ``reset`` or ``step``, or the error the server raised."""
        observed = self._expect(reply, Observed)
        self._episode = _Episode.RUNNING
        return self._values.decode_result(observed)

    def state(self, reply: Reply) -> StateT:
        """The answer to ``state``."""
        return self._values.decode_state(self._expect(reply, StateIs).state)

    def broken(self, error: BaseException) -> BaseException:
        """Note that a request ended without its answer, and the connection with it; the error to tell it with."""
        had_session = self.has_session
        self._connection, self.has_session = None, False
        match error:
            case Broken(why=why):
                pass
            case RemoteProtocolError():
                why = Break.PROTOCOL_ERROR
            case _:  # whatever interrupts the call from outside
                why = Break.CANCELLED
        if why in _GIVEN_UP_BY_US:
            self._leave()
        self._takes_place = False
        told = self._tell(why, str(error), had_session)
        return told if isinstance(error, Broken) else error

    def _tell(self, why: Break, message: str, had_session: bool) -> OpenEnvError:
        if self._episode is _Episode.CLOSED:
            return SessionClosed("this client was closed while it waited for an answer")
        if self._episode is _Episode.RUNNING:
            self._episode, self._why_lost = _Episode.LOST, why.value
            return _lost(why.value, message)
        if self._episode is _Episode.BEGINNING:  # it may have begun: what follows must not begin another unasked
            self._episode, self._why_lost = _Episode.LOST, why.value
        if why is Break.TIMEOUT:
            return RequestTimeout(message)
        if why is Break.MESSAGE_TOO_LARGE:
            return MessageTooLarge(message)
        return ConnectionLost(message) if had_session else ConnectFailed(f"no session could be opened: {message}")

    def _leave(self) -> None:
        self._left_place = self._left_place or self._takes_place
        self._takes_place = False

    def _expect(self, reply: Reply, kind: type[Any]) -> Any:
        if isinstance(reply, kind):
            return reply
        if self._episode is _Episode.BEGINNING:
            self._episode = self._before
        if not isinstance(reply, Failed):
            raise RemoteProtocolError(f"expected {kind.__name__}, the server answered {type(reply).__name__}")
        error = reply.to_error()
        if isinstance(error, EpisodeLost):
            self._episode, self._why_lost = _Episode.LOST, str(error.details.get("reason", "unknown"))
        if isinstance(error, CapacityReached | FactoryFailed) and not self.answers_close:
            self.has_session = False  # v1 says so where the session should have begun
        raise error


def _lost(reason: str, message: str = "it ended in an earlier call") -> EpisodeLost:
    return EpisodeLost(
        f"the episode was lost ({reason}): {message}; call reset() to begin another", details={"reason": reason}
    )
