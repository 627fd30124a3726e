"""One session's link to its server, without I/O: the moves that connect, open, resume, give up and end it."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Callable
from typing import TypeVar

from openenv.client.breaks import GIVEN_UP_BY_US, PASSING, Break, Broken, Gone, Refused, gone_if, reason_of, unknown
from openenv.client.line import FAREWELL_S, Deadline, Line
from openenv.client.moves import Ask, Look, Moves, Part, Pause, Tell
from openenv.client.options import ClientOptions
from openenv.client.patience import Patience
from openenv.errors import ConnectFailed, OpenEnvError, RemoteProtocolError
from openenv.protocol import ClientSession, Close, Failed, Open, Opened, Reply, Request, Resumed

__all__ = ["Link"]

T = TypeVar("T")
log = logging.getLogger("openenv.client")


class Link:
    """Reaches one session at a time, over one connection after another.

    With a server that resumes sessions, a break is mended here: nothing that was asked runs twice. With any other
    the session ends with its connection. What is given up is ended on the server, at once or as soon as there is a
    connection again.

    Args:
        options: What the user set.
        go_on: Raises where the client was closed meanwhile.
        clock: Seconds that rise.
        random: From 0 to 1, for pauses.
    """

    def __init__(
        self, options: ClientOptions, go_on: Callable[[], None], clock: Callable[[], float], random: Callable[[], float]
    ) -> None:
        self._options, self._go_on, self._clock = options, go_on, clock
        self._patience = Patience(options.reconnect_timeout_s, clock, random)
        self.line = Line(options, go_on, clock)
        self._session: ClientSession | None = None
        self._is_attached = False  # the session is reached by this connection
        self._owed: list[ClientSession] = []  # given up, and the server does not know it yet
        self._broke: Broken | None = None  # how the last connection ended while nobody waited
        self._queue_until = -math.inf
        self.left_place = False  # the server may still keep the place of a session that was given up here
        self.source = ("", "")  # id and token of a session that the next one begins as a fork of

    @property
    def has_session(self) -> bool:
        """Whether there is a session, on this connection or to be resumed."""
        return self._session is not None and (self._session.is_open or self._is_attached)

    def branch(self, source: Link) -> None:
        """Have the next session begin as a fork of another link's."""
        assert source._session is not None
        self.source = source._session.id, source._session.token

    def no_session(self) -> None:
        """Note that the v1 server had no place after all."""
        self._session, self._is_attached = None, False

    def look(self) -> Moves[Broken | None]:
        """Notice a connection that ended while nobody asked; gives how, if the session ended with it.

        Raises:
            Gone: The server said before that the session is over.
        """
        if self.line.connection is None:
            return None
        ended: Broken | None = yield Look()
        if ended is None and self.line.is_v1 and self._session is None:
            ended = Broken(Break.CONNECTION_LOST, "the server had no session")
        if ended is None:
            return None
        try:
            if self.has_session:
                yield from self.line.last_words()
        except Gone:
            self._session = None
            raise
        finally:
            yield from self._hang_up()
            self._broke = ended
        return None if self.has_session else ended

    def reach(self, deadline: Deadline | None) -> Moves[bool]:
        """Be connected with the session; gives whether it had to be opened.

        Raises:
            ConnectFailed: No connection came about.
            Broken: One did, and broke for good.
            Gone: The session is over.
            OpenEnvError: What the server answered instead of a session.
        """
        if self._is_attached:
            return False
        is_new = not self.has_session
        if is_new:
            self._queue_until = self._clock() + self._options.queue_timeout_s
        yield from self._guarded(self._reach(None if is_new else deadline))
        return is_new

    def ask_at_once(self, request: Request) -> Ask | None:
        """The move that asks it; ``None`` where something comes before, or the server is old."""
        session = self._session
        if not (self._is_attached and self.line.resumes) or session is None or session.unanswered is not None:
            return None
        return self.line.ask(self.line.frame(request, session), None)

    def frame(self, request: Request) -> str | bytes:
        """The frame of a request. Where this raises, nothing was sent and everything is as it was."""
        assert self._session is not None
        return self.line.frame(request, self._session)

    def answer(self, frame: str | bytes, deadline: Deadline | None) -> Moves[Reply]:
        """The answer to a request, over as many connections as it takes.

        Raises:
            Broken: It did not come, and the session was given up.
            Gone: The session is over.
            RemoteProtocolError: Something else came, and the session was given up.
        """
        return (yield from self._guarded(self._answer(frame, deadline)))

    def _reach(self, deadline: Deadline | None) -> Moves[None]:
        try:
            if self.line.connection is None and self.has_session:
                raise self._broke or Broken(Break.CONNECTION_LOST, "there was no connection")
            if self.line.connection is None:
                yield from self._join(deadline)
            yield from self._attach(deadline)
        except Broken as broken:
            yield from self._mend(broken, deadline)

    def _answer(self, frame: str | bytes | None, deadline: Deadline | None) -> Moves[Reply]:
        while True:
            try:
                reply = yield from self.line.exchange(frame, deadline)
            except Broken as broken:
                yield from self._mend(broken, deadline)
                frame = self.line.again(self._session)
                continue
            self._patience.renew()
            return self.line.unless_gone(reply)

    def _join(self, deadline: Deadline | None) -> Moves[None]:
        """Connect; where the server cannot resume a session, what there was is over."""
        try:
            yield from self.line.connect(deadline)
        except Refused as refused:
            if self.has_session:
                raise Broken(Break.SERVER_STOPPED, refused.error.message) from refused
            raise
        if self.line.resumes:
            return
        assert self.line.connection is not None
        self._owed.clear()
        old, self._session = self._session, self.line.connection.only if self.line.is_v1 else None
        self._is_attached = self.line.is_v1
        if old is not None and old.is_open:
            raise Gone(unknown())

    def _attach(self, deadline: Deadline | None) -> Moves[None]:
        """Open or resume the session on this connection."""
        if self._is_attached:
            return
        connection = self.line.connection
        assert connection is not None
        yield from self._settle(deadline)
        if self._session is None:
            self._session = ClientSession(secrets.token_hex(16), self.source)
        session = self._session
        queue_s = max(0.0, self._queue_until - self._clock()) if connection.has("queue") else 0.0
        introduction = session.introduction(queue_s)
        opens = isinstance(introduction, Open)
        limit = self.line.opening(queue_s, deadline) if opens else self.line.short(deadline)
        frame = connection.send(introduction, session)
        reply = yield from self.line.exchange(frame, limit)
        if isinstance(reply, Failed):
            self._refused(reply.to_error(), opens=opens)
        if not isinstance(reply, Opened if opens else Resumed):
            raise RemoteProtocolError(f"the server answered {type(reply).__name__} where a session should begin")
        self._is_attached, self.source = True, ("", "")
        self.left_place = self.left_place and not opens
        self._patience.connected()

    def _refused(self, error: OpenEnvError, *, opens: bool) -> None:
        gone = gone_if(error)
        if gone is not None:
            raise gone
        if opens:
            assert self.line.connection is not None and self._session is not None
            self.line.connection.forget(self._session)
            self._session = None
            raise Refused(error)
        if error.retryable:
            raise Broken(Break.SERVER_STOPPED, error.message)
        raise Gone(unknown(error.message))

    def _settle(self, deadline: Deadline | None) -> Moves[None]:
        """End on this connection what was given up on another; that it cannot be ended is no error."""
        while self._owed:
            yield from self.line.farewell(self._owed[0], deadline)
            del self._owed[0]

    def _mend(self, broken: Broken, deadline: Deadline | None) -> Moves[None]:
        """Connect again and resume; raises what broke if that does not help in time."""
        if broken.why not in PASSING or not self.line.resumes:
            raise broken
        yield from self._hang_up()
        last: Exception | None = None
        while True:
            self._patience.broke()
            pause_s = self._patience.pause()
            if pause_s is None or self._options.owned_ended:
                told = f"{broken}; connecting again did not help: {last}" if last is not None else str(broken)
                raise Broken(broken.why, told)
            if deadline is not None:
                pause_s = min(pause_s, max(0.0, deadline.at - self._clock()))
            log.info("%s; connecting again in %.2f s", last or broken, pause_s)
            yield Pause(pause_s)
            self._go_on()
            if deadline is not None and self._clock() >= deadline.at:
                raise Broken(Break.TIMEOUT, f"no answer within {deadline.seconds} s; {last or broken}")
            try:
                yield from self._join(deadline)
                yield from self._attach(deadline)
            except (Broken, ConnectFailed) as error:
                last = error
                yield from self._hang_up()
            else:
                return

    def _guarded(self, moves: Moves[T]) -> Moves[T]:
        """The same moves; if they fail, the session is given up."""
        try:
            return (yield from moves)
        except Refused as refused:
            if not self.line.resumes:
                yield from self._hang_up()
            raise refused.error from None
        except ConnectFailed:
            raise
        except Gone:
            yield from self._let_go()
            raise
        except BaseException as error:  # cancellation too: its answer must not be taken for the next one's
            yield from self._give_up(error)
            raise

    def or_hung_up(self, moves: Moves[T]) -> Moves[T]:
        """The same moves; if they fail and nothing was opened, the connection is not left behind."""
        try:
            return (yield from moves)
        except OpenEnvError:
            if not self.has_session:
                yield from self._hang_up()
            raise

    def _let_go(self) -> Moves[None]:
        """Forget a session that is over, here and, if it keeps it in some form, on the server."""
        connection, session = self.line.connection, self._session
        tells = self._is_attached and self.line.resumes
        if not self.line.is_v1:
            self._session, self._is_attached = None, False
        if connection is None or session is None or not tells:
            return
        if not (yield Tell(connection.send_farewell(session), FAREWELL_S)):
            yield from self._hang_up()

    def _give_up(self, error: BaseException) -> Moves[None]:
        connection, session, attached = self.line.connection, self._session, self._is_attached
        why = reason_of(error)
        if not (self.line.resumes and session is not None and session.is_open):
            yield from self._hang_up()
            self.left_place = self.left_place or (session is not None and why in GIVEN_UP_BY_US)
            return
        self._owed.append(session)
        self._session, self._is_attached, self.left_place = None, False, True
        sound = connection if attached and why in (Break.TIMEOUT, Break.CANCELLED) else None
        if sound is not None and (yield Tell(sound.send_farewell(session), FAREWELL_S)):
            self._owed.remove(session)
        else:
            yield from self._hang_up()

    def _hang_up(self) -> Moves[None]:
        self._is_attached = False
        if not self.line.resumes:
            self._session = None
        yield from self.line.hang_up()

    def end(self) -> Moves[None]:
        """End the session, and what was given up before, within ``connect_timeout_s``. What fails is logged."""
        deadline = self.line.deadline(self._options.connect_timeout_s)
        assert deadline is not None
        self._patience.renew()
        self._queue_until = -math.inf
        while self._session is not None or self._owed:
            try:
                yield from self._end_once(deadline)
            except Gone:
                self._session, self._is_attached = None, False
            except Refused:
                break  # nothing was opened, so nothing is to be closed
            except (Broken, OpenEnvError) as error:
                yield from self._hang_up()
                self._patience.broke()
                pause_s = self._patience.pause()
                over = pause_s is None or self._clock() + pause_s >= deadline.at
                if over or not self._may_mend(error) or (self._session is None and not self._owed):
                    log.warning("the server did not say that the session has ended: %s", error)
                    break
                assert pause_s is not None
                yield Pause(pause_s)
        if self.line.connection is not None:
            yield Part(max(0.0, deadline.at - self._clock()))
        self.line.connection, self._session, self._is_attached, self._owed = None, None, False, []

    def _end_once(self, deadline: Deadline) -> Moves[None]:
        if self.line.connection is None:
            yield from self._join(deadline)
        connection = self.line.connection
        assert connection is not None
        yield from self._settle(deadline)
        if self._session is None:
            return
        yield from self._attach(deadline)
        session = self._session
        if self.line.is_v1:
            yield Tell(connection.send(Close(), session), FAREWELL_S)
            yield from self.line.until_hung_up(deadline)  # which tells that the place is free
        else:
            frame = self.line.again(self._session) or connection.send(Close(), session)
            reply = yield from self.line.exchange(frame, deadline)
            if isinstance(reply, Failed) and not (self.line.resumes and gone_if(reply.to_error()) is not None):
                log.warning("the environment did not close cleanly: %s", reply.message)
            self.left_place = False
        self._session, self._is_attached = None, False

    def _may_mend(self, error: Exception) -> bool:
        if self._options.owned_ended or not self.line.resumes:
            return False
        if isinstance(error, ConnectFailed):  # where nothing listens, nothing is kept for us
            return not isinstance(error.__cause__, ConnectionRefusedError)
        return isinstance(error, Broken) and error.why in PASSING
