"""One connection after another, without I/O: the moves that connect, greet and exchange frames on it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from openenv.client.breaks import Break, Broken, Gone, Refused, lost, unless_gone
from openenv.client.moves import Ask, Connect, HangUp, Moves, Tell
from openenv.client.options import ClientOptions
from openenv.errors import AccessDenied, LocalProtocolError, OpenEnvError, RemoteProtocolError
from openenv.protocol import (
    FEATURE_OF,
    ClientConnection,
    ClientSession,
    EncodingFailed,
    Ended,
    Failed,
    Hello,
    Observed,
    Progress,
    Queued,
    Reply,
    Request,
    Resumed,
)

__all__ = ["FAREWELL_S", "Deadline", "Line"]

log = logging.getLogger("openenv.client")


_SERVER_KEEPS_S = 5.0
"""Seconds that a server which keeps the time of a request itself may take to end it."""


FAREWELL_S = 1.0
"""A frame as small as a goodbye is taken at once, or the connection is stuck."""


class Deadline(NamedTuple):
    """When something has to be over, and how many seconds there were."""

    at: float
    seconds: float


class Line:
    """At most one connection, and what the server on it can do.

    Args:
        options: What the user set.
        go_on: Raises where the client was closed meanwhile.
        clock: Seconds that rise.

    Attributes:
        connection: The connection; ``None`` between two.
        resumes: Whether the server, as far as known, keeps sessions for connections that come later.
    """

    def __init__(self, options: ClientOptions, go_on: Callable[[], None], clock: Callable[[], float]) -> None:
        self._options, self._go_on, self._clock = options, go_on, clock
        self.connection: ClientConnection | None = None
        self.resumes = False

    @property
    def is_v1(self) -> bool:
        """Whether it speaks v1: it is the session, and says only with its first answer if there is one."""
        return self.connection is not None and not self.connection.has_sessions

    @property
    def hello(self) -> Hello | None:
        """The server's greeting on this connection; ``None`` without one, and in v1."""
        return None if self.connection is None else self.connection.hello

    def connect(self, deadline: Deadline | None) -> Moves[None]:
        """Connect and be greeted; raises ``ConnectFailed``, ``Broken``, ``Refused`` or ``RemoteProtocolError``."""
        try:
            subprotocol = yield Connect(self._within(deadline))
        except AccessDenied as denied:
            raise Refused(denied) from denied
        self.connection = connection = ClientConnection(subprotocol)
        self._go_on()
        self.resumes = connection.has_sessions  # a break before the greeting is one of a server that may
        if not connection.has_sessions:
            return
        greeting = yield from self.exchange(None, self.short(deadline))
        if isinstance(greeting, Failed):
            raise Refused(greeting.to_error())
        if not isinstance(greeting, Hello):
            raise RemoteProtocolError("the server accepted protocol v2 but did not greet")
        self.resumes = connection.has("resume")

    def _check_feature(self, request: Request) -> None:
        """Raise ``LocalProtocolError`` if the server does not know such a request."""
        feature = FEATURE_OF.get(type(request))
        if feature is None or (self.connection is not None and self.connection.has(feature)):
            return
        spoken = "speaks protocol v1" if self.is_v1 else "is older"
        raise LocalProtocolError(f"this server {spoken} and has no {feature!r}")

    def exchange(self, frame: str | bytes | None, deadline: Deadline | None) -> Moves[Reply]:
        """Send a frame, if there is one, and give the reply that comes; raises ``Broken`` or ``Gone``."""
        left_s = None if deadline is None else max(0.0, deadline.at - self._clock())
        try:
            reply: Reply = yield self.ask(frame, left_s)
        except Broken as broken:
            self._go_on()
            if broken.why is Break.TIMEOUT and deadline is not None:
                raise Broken(Break.TIMEOUT, f"no answer within {deadline.seconds} s") from broken
            raise
        if isinstance(reply, Ended):
            raise Gone(lost(reply.reason, reply.message))
        return reply

    def ask(self, frame: str | bytes | None, left_s: float | None) -> Ask:
        """The move that sends a frame, if there is one, and waits ``left_s`` seconds for the reply."""
        silence_s = self._options.liveness_timeout_s if self.resumes else None  # else a false alarm costs the episode
        return Ask(frame, self._take, left_s, silence_s)

    def unless_gone(self, reply: Reply) -> Reply:
        """The answer to a request; raises ``Gone`` if by it the session is over, which could be resumed till then."""
        return unless_gone(reply) if self.resumes else reply

    def until_hung_up(self, deadline: Deadline | None) -> Moves[None]:
        """Wait until the server ends the connection, but no longer than an exchange may take."""
        with suppress(Broken, RemoteProtocolError):
            while True:
                yield from self.exchange(None, self.short(deadline))

    def last_words(self) -> Moves[None]:
        """Take what the server said before the connection ended; raises ``Gone`` if that was the session's end."""
        try:
            while self.resumes:
                yield from self.exchange(None, self.short(None))
        except Broken:
            pass

    def frame(self, request: Request, session: ClientSession) -> str | bytes:
        """The frame of a request. Where this raises, nothing was sent and everything is as it was."""
        connection = self.connection
        assert connection is not None
        if type(request) in FEATURE_OF:
            self._check_feature(request)
        try:
            frame = connection.send(request, session)
        except OpenEnvError:
            raise
        except (EncodingFailed, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise LocalProtocolError(f"the options cannot be sent: {error}") from error
        limit = connection.hello.limits.max_message_bytes if connection.hello is not None else math.inf
        size = len(frame)
        if isinstance(frame, str) and size * 4 > limit:  # a character takes up to 4 bytes
            size = len(frame.encode())
        if size > limit:
            session.withdraw()
            raise LocalProtocolError(f"the message has {size} bytes; this server takes {limit}")
        return frame

    def farewell(self, session: ClientSession, deadline: Deadline | None) -> Moves[None]:
        """End a session that was given up; that it cannot be ended is no error."""
        connection = self.connection
        assert connection is not None
        with suppress(Gone):
            frame = connection.send(session.introduction(), session)
            if isinstance((yield from self.exchange(frame, self.short(deadline))), Resumed):
                yield Tell(connection.send_farewell(session), FAREWELL_S)
        connection.forget(session)

    def again(self, session: ClientSession | None) -> str | bytes | None:
        """The frame of the session's unanswered request, to be sent once more; ``None`` if there is none."""
        assert self.connection is not None
        assert session is not None
        return self.connection.send_again(session)

    def _take(self, frame: str | bytes) -> Reply | None:
        connection = self.connection
        self._go_on()
        assert connection is not None
        reply = connection.receive(frame)
        if type(reply) is Observed:
            return reply
        if isinstance(reply, Progress):
            log.info("the request has been running for %g s", reply.elapsed_s)
            return None
        if isinstance(reply, Queued):
            log.info("all places of the server are taken; waiting at position %d", reply.position)
            if self._options.on_queued is not None:
                self._options.on_queued(reply.position)
            return None
        return reply

    def hang_up(self) -> Moves[None]:
        """Be without a connection."""
        self.connection = None
        yield HangUp()

    def own_deadline(self, seconds: float | None) -> Deadline | None:
        """The same for a request that has a time of its own, where the server keeps it and says so."""
        found = self.deadline(seconds)
        keeps = self.connection is not None and self.connection.has("deadlines")
        return found._replace(at=found.at + _SERVER_KEEPS_S) if found is not None and keeps else found

    def deadline(self, seconds: float | None) -> Deadline | None:
        """So many seconds from now."""
        return None if seconds is None else Deadline(self._clock() + seconds, seconds)

    def short(self, deadline: Deadline | None) -> Deadline | None:
        """The time of an exchange that needs no environment: not more than the request has."""
        own = self.deadline(self._options.connect_timeout_s)
        return min((one for one in (own, deadline) if one is not None), default=None)

    def opening(self, queue_s: float, deadline: Deadline | None) -> Deadline | None:
        """The time of an ``open``: to build an environment may take long, and pongs tell that the server is alive."""
        limit_s = self._options.message_timeout_s
        own = self.deadline(None if limit_s is None else limit_s + queue_s)
        return min((one for one in (own, deadline) if one is not None), default=None)

    def _within(self, deadline: Deadline | None) -> float:
        limit_s = self._options.connect_timeout_s
        return limit_s if deadline is None else max(0.001, min(limit_s, deadline.at - self._clock()))
