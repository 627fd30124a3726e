"""One connection at a time that carries many sessions, with two tasks and one frame for what is asked at once."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from openenv.client.breaks import PASSING, Break, Broken, Refused, lost, unknown
from openenv.client.options import ClientOptions
from openenv.client.patience import Patience
from openenv.client.trunk_session import Answered, TrunkSession
from openenv.client.trunk_socket import TrunkSocket, Watch, greeted
from openenv.client.trunk_traffic import Traffic
from openenv.errors import (
    AccessDenied,
    ConnectFailed,
    EpisodeLost,
    OpenEnvError,
    RemoteProtocolError,
    RequestTimeout,
    SessionClosed,
)
from openenv.protocol import Close, Hello, Request, Reset

__all__ = ["Trunk"]

log = logging.getLogger("openenv.client")


class Trunk:
    """Carries sessions to one server. What is asked is answered by a call, each request once.

    Connects when first asked, or by ``connect``. If the connection breaks it connects again, resumes every session and
    asks again for what was not answered, under the same ids; only where that does not succeed in
    ``reconnect_timeout_s``, or a session is gone, is that session over and says why. While nothing is asked, a server
    may be away for longer. A server of protocol v1 carries one session a connection: for it there is ``SoloTrunk``.

    Everything is called from one event loop.

    Args:
        options: What the user set.
        on_queued: Told a session and its position in the server's queue.
        on_running: Told a session and the seconds its request has been running.
        clock: Seconds that rise.
        chance: From 0 to 1, for the pauses between attempts to connect.

    Attributes:
        hello: What the server said of itself; ``None`` until then, and kept while there is no connection.
        is_v1: Whether it speaks v1, once it was reached.
        is_connected: Whether there is a connection now.
        has_failed: Whether the last connection was given up, and none attempted since.
        reconnects: How often a connection was made after a break.
    """

    def __init__(
        self,
        options: ClientOptions,
        *,
        on_queued: Callable[[TrunkSession, int], object] | None = None,
        on_running: Callable[[TrunkSession, float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._options, self._clock, self._chance = options, clock, chance
        self.hello: Hello | None = None
        self.is_v1 = self.has_failed = False
        self.reconnects = 0
        self._resumes = False
        self._traffic = Traffic(options.values, self._leave, on_queued, on_running, clock)
        self._patience = self._new_patience()
        self._socket: TrunkSocket | None = None
        self._carrying: asyncio.Task[None] | None = None
        self._joined: asyncio.Future[None] | None = None
        self._wanted = asyncio.Event()  # something is asked while there is no connection
        self._is_closing = False

    @property
    def is_connected(self) -> bool:
        return self._traffic.connection is not None

    @property
    def sessions(self) -> int:
        """How many sessions it carries, those included that are being opened."""
        return len(self._traffic)

    @property
    def unanswered(self) -> int:
        """How many requests wait for their answer."""
        return self._traffic.waiting

    # What is asked -------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Be connected; raises ``ConnectFailed``, or what the server answered instead of a greeting."""
        if self.is_connected:
            return
        self._start()
        assert self._joined is not None
        await asyncio.shield(self._joined)

    def new_session(self, queue_timeout_s: float, owner: Any = None) -> TrunkSession:
        """A session of somebody's that is opened with its first request, and may wait so long for a place."""
        session = TrunkSession(self._clock() + queue_timeout_s, owner)
        self._traffic.add(session)
        return session

    def ask(self, session: TrunkSession, request: Request | None, answered: Answered) -> None:
        """Ask something of a session, or nothing but that it is opened. One request of a session at a time.

        Args:
            answered: Called once, later or at once; see ``Answered``. Errors are those that ``EnvClient`` raises.
        """
        if session.error is not None or self._is_closing:
            answered(session.error or SessionClosed("it was closed; open it again to go on"))
            return
        self._want()
        self._traffic.ask(session, request, answered)

    def give_up(self, session: TrunkSession, why: Break, message: str) -> None:
        """Wait no longer for an answer: the session is over, and ended on the server as soon as that can be told."""
        if session.answered is None:
            return
        begins = session.request is None or isinstance(session.request, Reset)
        error = RequestTimeout(message) if begins else lost(why.value, message)
        self._leave(session, error)

    def end(self, session: TrunkSession) -> None:
        """End a session nobody waits for."""
        self._leave(session, SessionClosed("the session was closed"))

    async def close(self) -> None:
        """End all sessions and the connection, within ``connect_timeout_s``. Who waits is told ``SessionClosed``."""
        self._is_closing = True
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.connect_timeout_s):
                    await self._end_all()
        finally:
            if self._carrying is not None:
                self._carrying.cancel()
                await asyncio.gather(self._carrying, return_exceptions=True)

    async def _end_all(self) -> None:
        """Ask every session to end, and wait until all have."""
        over = asyncio.Event()
        left = 0

        def ended(answer: Any) -> None:
            nonlocal left
            left -= 1
            if isinstance(answer, OpenEnvError) and not isinstance(answer, EpisodeLost | SessionClosed):
                log.warning("an environment did not close cleanly: %s", answer)
            if not left:
                over.set()

        for session in self._traffic.all():
            self._traffic.tell(session, SessionClosed("it was closed while it waited for an answer"))
            if session.may_exist and not session.is_over:
                self._want()
                left += 1
                session.wire.withdraw()
                self._traffic.ask(session, Close(), ended)
        if left:
            try:
                await over.wait()
            finally:
                if left:
                    log.warning("the server did not say of %d sessions that they have ended", left)
        socket = self._socket
        if socket is not None:
            while (frame := self._traffic.next_frame()) is not None:  # of those that were given up
                await socket.send(frame)
            await socket.close(self._options.connect_timeout_s)

    def _leave(self, session: TrunkSession, error: OpenEnvError) -> None:
        session.error = error
        self._traffic.leave(session)
        self._traffic.tell(session, error)

    # The connection ------------------------------------------------------------------------------

    def _new_patience(self) -> Patience:
        return Patience(self._options.reconnect_timeout_s, self._clock, self._chance)

    def _want(self) -> None:
        """Have a connection."""
        if self.is_connected:
            return
        if not self._traffic.waiting and self._carrying is not None:  # until now nobody missed it
            self._patience = self._new_patience()
            self._patience.broke()
        self._wanted.set()
        self._start()

    def _start(self) -> None:
        if self._carrying is None or self._carrying.done():
            self.has_failed = False
            self._joined = asyncio.get_running_loop().create_future()
            self._joined.add_done_callback(_taken_note_of)
            self._carrying = asyncio.create_task(self._carry(self._joined))

    async def _carry(self, joined: asyncio.Future[None]) -> None:
        """Be connected, again and again, until a break is final."""
        error: OpenEnvError = SessionClosed("the connection was closed")
        try:
            ended = await self._begin()
            while ended is None:
                if not joined.done():
                    joined.set_result(None)
                if self.is_v1:
                    raise ConnectFailed("this server speaks protocol v1, which has a connection for each session")
                broken = await self._exchange()
                ended = await self._mend(broken) if self._resumes else broken
            error = lost(ended.why.value, str(ended)) if joined.done() else _told(ended)
        except (Broken, Refused, OpenEnvError) as failure:
            error = _told(failure)
        except Exception as failure:  # who waits must be told, or waits for ever
            log.error("a connection failed inside the client", exc_info=failure)
            error = OpenEnvError(f"the client failed: {type(failure).__name__}: {failure}")
        finally:
            self._drop()
            self.has_failed = True
            if not joined.done():
                joined.set_exception(error)
            if not self._is_closing:
                self._carrying = None  # who is told may ask for something at once, which begins anew
            self._fail(self._traffic.all(), error)

    async def _begin(self) -> Broken | None:
        """Be connected for the first time; gives what broke if one was and broke for good."""
        try:
            await self._join()
        except Broken as broken:  # before the greeting, of a server that may resume
            return await self._mend(broken)
        return None

    async def _join(self) -> None:
        socket, connection = await greeted(self._options)
        self.is_v1 = connection.hello is None
        if self.is_v1:
            socket.abort()
            return
        self.hello, self._socket, self._resumes = connection.hello, socket, connection.has("resume")
        self._patience.connected()
        self._traffic.begin(connection)

    async def _exchange(self) -> Broken:
        """Send and receive until the connection breaks; gives how."""
        socket, connection = self._socket, self._traffic.connection
        assert socket is not None
        assert connection is not None
        writing = asyncio.create_task(self._write(socket))
        writing.add_done_callback(lambda _: socket.abort())  # should it fail, nothing more would go out
        watch = Watch(socket, self._options.liveness_timeout_s, self._is_owed_an_answer)
        try:
            while True:
                frame = await socket.receive()
                if self._traffic.take(frame):
                    self._patience.renew()
        except Broken as broken:
            if writing.done():
                await writing
            return watch.dead or broken
        except RemoteProtocolError as error:
            return Broken(Break.PROTOCOL_ERROR, error.message)
        finally:
            watch.stop()
            writing.cancel()
            self._drop()
            await asyncio.gather(writing, return_exceptions=True)

    def _is_owed_an_answer(self) -> bool:
        return self._resumes and self._traffic.waiting > 0  # else a false alarm costs the episodes

    async def _write(self, socket: TrunkSocket) -> None:
        while True:
            await self._traffic.is_ready.wait()
            while (frame := self._traffic.next_frame()) is not None:
                await socket.send(frame)

    async def _mend(self, broken: Broken) -> Broken | None:
        """Connect again; gives what broke if that does not help in time."""
        if broken.why not in PASSING:
            for session in self._traffic.suspect():
                self._leave(session, lost(broken.why.value, str(broken)))
        last: Exception | None = None
        while True:
            self._patience.broke()
            pause_s = self._patience.pause()
            if self._options.owned_ended or (self._is_closing and _nothing_listens(last)):
                pause_s = None
            elif pause_s is None and not self._traffic.waiting:
                log.info("%s; connecting again when something is asked", last or broken)
                self._wanted.clear()
                await self._wanted.wait()
                continue
            if pause_s is None:
                told = f"{broken}; connecting again did not help: {last}" if last is not None else str(broken)
                return Broken(broken.why, told)
            log.info("%s; connecting again in %.2f s", last or broken, pause_s)
            await asyncio.sleep(pause_s)
            try:
                await self._join()
            except Refused as refused:
                last = refused.error
            except (Broken, ConnectFailed, AccessDenied, RemoteProtocolError) as error:
                last = error
            else:
                self.reconnects += 1
                if not self._resumes:
                    self._fail(self._traffic.opened(), unknown())
                return Broken(Break.PROTOCOL_ERROR, "the server speaks protocol v1 now") if self.is_v1 else None

    def _drop(self) -> None:
        socket, self._socket = self._socket, None
        self._traffic.interrupt()
        if socket is not None:
            socket.abort()

    def _fail(self, sessions: Iterable[TrunkSession], error: OpenEnvError) -> None:
        for session in sessions:
            session.error = session.error or error
            self._traffic.forget(session)
            self._traffic.tell(session, session.error)


def _told(failure: Exception) -> OpenEnvError:
    match failure:
        case Refused(error=error):
            return error
        case OpenEnvError():
            return failure
    return ConnectFailed(f"no session could be opened: {failure}")


def _nothing_listens(error: Exception | None) -> bool:
    return isinstance(error, ConnectFailed) and isinstance(error.__cause__, ConnectionRefusedError)


def _taken_note_of(joined: asyncio.Future[None]) -> None:
    if not joined.cancelled():
        joined.exception()
