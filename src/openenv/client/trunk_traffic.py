"""What goes out and comes in on a connection of many sessions, without I/O."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from openenv.client.breaks import Break, Broken, Gone, gone_if, lost, unknown, unless_gone
from openenv.client.trunk_session import Answered, TrunkSession
from openenv.client.values import Values
from openenv.errors import LocalProtocolError, OpenEnvError, RemoteProtocolError, SessionClosed
from openenv.protocol import (
    AgentGranted,
    ClientConnection,
    Closed,
    Ended,
    Failed,
    Observed,
    Opened,
    OutcomeIs,
    Progress,
    Queued,
    Reply,
    Request,
    Resumed,
    StateIs,
    Step,
)

__all__ = ["MOST_UNANSWERED", "Traffic"]

log = logging.getLogger("openenv.client")

MOST_UNANSWERED = 2048
"""Requests that one connection has under way; more wait here until some are answered."""

_MOST_IN_FRAME = 4096
_LARGEST_FRAME = 4 << 20
"""Bytes above which what is asked at once goes into several frames: a server begins with the first meanwhile."""


class Traffic:
    """The sessions of a trunk, what they ask, and whom to tell what came of it.

    Args:
        values: The types that are spoken.
        leave: Ends a session for an error.
        on_queued, on_running, clock: As those of ``Trunk``.

    Attributes:
        connection: The connection; ``None`` between two.
        is_ready: Set while ``next_frame`` may have one.
        waiting: How many sessions wait for an answer.
    """

    def __init__(
        self,
        values: Values[Any, Any, Any],
        leave: Callable[[TrunkSession, OpenEnvError], None],
        on_queued: Callable[[TrunkSession, int], object] | None,
        on_running: Callable[[TrunkSession, float], object] | None,
        clock: Callable[[], float],
    ) -> None:
        self._values, self._leave, self._clock = values, leave, clock
        self._on_queued, self._on_running = on_queued, on_running
        self.connection: ClientConnection | None = None
        self.is_ready = asyncio.Event()
        self.waiting = 0
        self._sessions: dict[str, TrunkSession] = {}  # by nonce
        self._by_id: dict[str, TrunkSession] = {}
        self._leaving: set[TrunkSession] = set()
        self._ready: deque[TrunkSession] = deque()
        self._under_way: set[TrunkSession] = set()
        self._before_break: list[TrunkSession] = []  # what was under way when the connection ended
        self._suspects: set[TrunkSession] = set()  # one of them ended the connection; they are asked one by one
        self._held: str | bytes | None = None  # made, and too large for the frame before

    def __len__(self) -> int:
        """How many there are, without those that are leaving."""
        return len(self._sessions) - len(self._leaving)

    def all(self) -> list[TrunkSession]:
        return list(self._sessions.values())

    def opened(self) -> list[TrunkSession]:
        return [session for session in self.all() if session.wire.is_open]

    # What is asked -------------------------------------------------------------------------------

    def add(self, session: TrunkSession) -> None:
        self._sessions[session.wire.nonce] = session

    def ask(self, session: TrunkSession, request: Request | None, answered: Answered) -> None:
        session.ask(request, answered)
        self.waiting += 1
        self._make_ready(session)

    def leave(self, session: TrunkSession) -> None:
        """Have the server told, as soon as it can be, that a session was given up."""
        session.is_leaving = True
        self._leaving.add(session)
        if session.may_exist:
            self._make_ready(session)
        else:
            self.forget(session)

    def forget(self, session: TrunkSession) -> None:
        """Carry it no more."""
        self._sessions.pop(session.wire.nonce, None)
        self._by_id.pop(session.wire.id, None)
        self._leaving.discard(session)
        self._done(session)
        if self.connection is not None:
            self.connection.forget(session.wire)

    def tell(self, session: TrunkSession, answer: Any) -> None:
        """Tell who waits, if anybody does."""
        answered = session.answered
        self._done(session)
        session.request = session.answered = None
        if answered is not None:
            self.waiting -= 1
            answered(answer)

    def _done(self, session: TrunkSession) -> None:
        self._under_way.discard(session)
        self._suspects.discard(session)
        if self._ready:
            self.is_ready.set()

    def _make_ready(self, session: TrunkSession) -> None:
        if self.connection is not None:
            self._ready.append(session)
            self.is_ready.set()

    # The connection ------------------------------------------------------------------------------

    def begin(self, connection: ClientConnection) -> None:
        """Go on, on a connection that greeted: all that there is is resumed, or opened if it is asked for."""
        self.connection = connection
        self._ready.extend(one for one in self._sessions.values() if one.wire.is_open or one.answered is not None)
        self.is_ready.set()

    def interrupt(self) -> None:
        """Note that there is no connection."""
        if self.connection is not None:
            self._before_break = list(self._under_way)
        self.connection = self._held = None
        self._ready.clear()
        self._under_way.clear()
        for session in self.all():
            session.detach()
            if session.is_leaving and not session.wire.is_open:  # nobody claims it, so the server ends it
                self.forget(session)

    def suspect(self) -> list[TrunkSession]:
        """After an end that one of the answers under way has caused: whose, if that is known.

        If not, they are asked for one by one, until it is.
        """
        if len(self._before_break) <= 1:
            return self._before_break
        self._suspects.update(self._before_break)
        return []

    # Frames --------------------------------------------------------------------------------------

    def next_frame(self) -> str | bytes | None:
        """What is to be sent now, as much as one frame holds; ``None``: nothing."""
        connection = self.connection
        if connection is None or connection.hello is None:
            self.is_ready.clear()
            return None
        limit = connection.hello.limits.max_message_bytes
        most = _MOST_IN_FRAME if connection.has_batches else 1
        frames: list[str | bytes] = []
        size = 0
        while len(frames) < most:
            frame, self._held = self._held or self._next_single(connection, limit), None
            if frame is None:
                break
            size += _size(frame) + 1
            if frames and size + 8 > min(limit, _LARGEST_FRAME):
                self._held = frame
                break
            frames.append(frame)
        if not frames:
            self.is_ready.clear()
            return None
        return connection.joined(frames) if len(frames) > 1 else frames[0]

    def _next_single(self, connection: ClientConnection, limit: int) -> str | bytes | None:
        most = 1 if self._suspects else MOST_UNANSWERED
        for _ in range(len(self._ready)):
            session = self._ready.popleft()
            if session.is_attached and not session.is_leaving and len(self._under_way) >= most:
                self._ready.append(session)
                continue  # what opens, resumes and ends may pass
            frame = self._frame(connection, session, limit)
            if frame is not None:
                return frame
        return None

    def _frame(self, connection: ClientConnection, session: TrunkSession, limit: int) -> str | bytes | None:
        """What a session has to say next; ``None``: nothing."""
        wire = session.wire
        if not session.is_attached:
            if session.is_introduced:
                return None
            session.is_introduced = True
            waits_s = max(0.0, session.queue_until - self._clock()) if connection.has("queue") else 0.0
            return connection.send(wire.introduction(waits_s), wire)
        if session.is_leaving:
            frame = connection.send_farewell(wire)
            self.forget(session)
            return frame
        if session.request is None or session in self._under_way:
            return None
        again = self._asking(connection, session, session.request, limit)
        if again is not None:
            self._under_way.add(session)
        return again

    def _asking(
        self, connection: ClientConnection, session: TrunkSession, request: Request, limit: int
    ) -> str | bytes | None:
        frame: str | bytes | None
        try:
            if session.is_sent:
                frame = connection.send_again(session.wire)
            else:
                if type(request) is Step:
                    request.action = self._values.encode_action(request.action)
                frame = connection.send(request, session.wire)
        except OpenEnvError as error:
            self.tell(session, error)
            return None
        except Exception as error:  # noqa: BLE001 - an author's value may raise anything; the other sessions must go on
            self.tell(session, LocalProtocolError(f"the options cannot be sent: {error}"))
            return None
        if frame is None:  # the server said of it that it could not be read
            self._leave(session, lost(Break.PROTOCOL_ERROR.value, "the server could not read the request"))
            return None
        if 4 * len(frame) > limit and (size := _size(frame)) > limit:
            session.wire.withdraw()
            self.tell(session, LocalProtocolError(f"the message has {size} bytes; this server takes {limit}"))
            return None
        session.is_sent = True
        return frame

    def take(self, frame: str | bytes) -> bool:
        """Tell what a frame holds; gives whether it answered a request.

        Raises:
            RemoteProtocolError: It cannot be read.
            Broken: The server goes on with its sessions only after another start.
        """
        assert self.connection is not None
        before, decode = self.waiting, self._values.decode_result
        broken: Exception | None = None
        for reply in self.connection.receive_all(frame):
            if type(reply) is Observed:  # what nearly every reply is
                session = self._by_id.get(reply.session)
                if session is not None:
                    self._tell_decoded(session, decode, reply)
                continue
            try:
                session = self._whose(reply)
                if session is not None:
                    self._take(session, reply)
            except (Broken, RemoteProtocolError) as error:  # what stands behind it would not come again
                broken = broken or error
        if broken is not None:
            raise broken
        return self.waiting < before

    def _whose(self, reply: Reply) -> TrunkSession | None:
        if isinstance(reply, Opened | Queued):
            return self._sessions.get(reply.nonce)
        if isinstance(reply, Failed) and not reply.session:
            nonce = reply.details.get("nonce")
            if not isinstance(nonce, str):
                raise RemoteProtocolError(f"the server could not read a frame: {reply.message}")
            return self._sessions.get(nonce)
        return self._by_id.get(reply.session)

    def _take(self, session: TrunkSession, reply: Reply) -> None:
        match reply:
            case OutcomeIs() | AgentGranted():
                self.tell(session, reply)
            case StateIs():
                self._tell_decoded(session, self._values.decode_state, reply.state)
            case Failed():
                self._failed(session, reply)
            case Opened() | Resumed():
                session.is_attached = True
                self._by_id[session.wire.id] = session
                if session.request is None and session.answered is not None:
                    self.tell(session, None)
                self._make_ready(session)
            case Closed():
                session.error = SessionClosed("the session was closed")
                self.forget(session)
                self.tell(session, None)
            case Ended():
                self._leave(session, lost(reply.reason, reply.message))
            case Queued():
                if self._on_queued is not None:
                    self._on_queued(session, reply.position)
            case Progress():
                if self._on_running is not None:
                    self._on_running(session, reply.elapsed_s)

    def _tell_decoded(self, session: TrunkSession, decode: Callable[[Any], Any], content: Any) -> None:
        try:
            answer = decode(content)
        except Exception as error:  # noqa: BLE001 - a user's type may raise anything; the other sessions must go on
            answer = error if isinstance(error, OpenEnvError) else RemoteProtocolError(f"an answer is no good: {error}")
        self.tell(session, answer)

    def _failed(self, session: TrunkSession, reply: Failed) -> None:
        if not session.is_attached:
            self._refused(session, reply.to_error())
            return
        try:
            unless_gone(reply)
        except Gone as gone:
            self._leave(session, gone.error)
        else:
            self.tell(session, reply.to_error())

    def _refused(self, session: TrunkSession, error: OpenEnvError) -> None:
        """A session was not opened, or not resumed."""
        gone = gone_if(error)
        if session.wire.is_open and gone is None and error.retryable:
            raise Broken(Break.SERVER_STOPPED, error.message)
        if session.wire.is_open and gone is None:
            error = unknown(error.message)
        session.error = session.error or (gone.error if gone is not None else error)
        self.forget(session)
        self.tell(session, session.error)


def _size(frame: str | bytes) -> int:
    return len(frame) if isinstance(frame, bytes) or frame.isascii() else len(frame.encode())
