"""The MCP sessions of the older era: each one client's, of one session of ours."""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
from collections.abc import Callable

from openenv.mcp.messages import SESSION_NOT_FOUND, McpError, RequestId
from openenv.mcp.older import OlderSession
from openenv.mcp.sse import EventLog
from openenv.mcp.versions import OLDER, UNNAMED
from openenv.server.mcp.posts import Final
from openenv.server.mcp.streams import Stream
from openenv.session import Call, Session

__all__ = ["Client", "Clients", "mcp_session_of"]

_MOST_OF_ONE_SESSION = 64
"""Clients of one session; with one more, the one that asked least lately has to begin anew."""

_IDLE_S = 1800.0
"""Seconds without a request or a stream after which a client has to begin anew."""

_MOST_REMEMBERED = 1024
"""Clients of one session that have ended; who comes back later than that is taken in anew."""

_KEPT_STREAMS = 8
_KEPT_BYTES = 1024 * 1024
_STANDING = "s"


class Client:
    """One client.

    Attributes:
        id: Its ``Mcp-Session-Id``.
        session: Who answers it.
        core: What was agreed on.
        is_alone: Whether the session was opened for it, and ends with it.
        running: What it has asked and may cancel, by the ids of the requests.
        waiting: Answers that it owes, and which request of its own each is for.
        used_at: When it asked last.
    """

    __slots__ = (
        "_streams",
        "_working",
        "core",
        "id",
        "is_alone",
        "running",
        "session",
        "standing",
        "used_at",
        "waiting",
    )

    def __init__(self, client_id: str, session: Session, core: OlderSession, *, is_alone: bool) -> None:
        self.id, self.session, self.core, self.is_alone = client_id, session, core, is_alone
        self.running: dict[RequestId, Call] = {}
        self.waiting: dict[asyncio.Future[object], RequestId] = {}
        self.standing: Stream | None = None
        self.used_at = 0.0
        self._streams: dict[str, Stream] | None = None
        self._working: set[asyncio.Task[Final]] | None = None

    def new_stream(self) -> Stream:
        """A stream for the answer to one request, which is kept so that the client can come back for it."""
        if self._streams is None:
            self._streams = {}
        while len(self._streams) >= _KEPT_STREAMS:
            over = next((name for name, one in self._streams.items() if one.is_over), None)
            if over is None:
                break
            del self._streams[over]
        log = EventLog(secrets.token_hex(4), _KEPT_BYTES)
        stream = self._streams[log.stream] = Stream(log, is_primed=self.core.takes_priming)
        return stream

    def carried(self, stream: Stream) -> None:
        """A connection carries one of those streams no more; it is kept unless nobody can come back for it, or will."""
        if self._streams is None or stream.log is None:
            return
        if not stream.log.size or (stream.was_carried and stream.log.size > _KEPT_BYTES):
            self._streams.pop(stream.log.stream, None)

    def stream_of(self, event_id: str) -> Stream | None:
        """The stream that an event was of."""
        name = EventLog.stream_of(event_id)
        if name == _STANDING:
            return self.standing
        return None if self._streams is None else self._streams.get(name)

    def stand(self) -> Stream:
        """The stream of what is no answer; a client that opens it again has the newest one alone."""
        if self.standing is not None:
            self.standing.end()
        self.standing = Stream(EventLog(_STANDING, _KEPT_BYTES), is_primed=self.core.takes_priming)
        return self.standing

    def goes_on(self, work: asyncio.Task[Final] | None) -> None:
        """Keep work whose connection is gone."""
        if work is not None:
            if self._working is None:
                self._working = set()
            self._working.add(work)
            work.add_done_callback(self._working.discard)

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it is under way."""
        return not (self.running or self.waiting or (self.standing is not None and self.standing.is_carried))

    def gives_up(self, request_id: RequestId) -> None:
        """It does not want an answer any more, and so will not say what is needed for it."""
        for future, of in self.waiting.items():
            if of == request_id and not future.done():
                future.cancel()

    def end(self) -> None:
        """Nobody asks it any more."""
        for future in self.waiting:
            if not future.done():
                future.cancel()
        for stream in (self.standing, *(self._streams or {}).values()):
            if stream is not None:
                stream.end()


class Clients:
    """Finds clients. An ``Mcp-Session-Id`` tells its session and proves itself, so that it outlives the server.

    Args:
        when_ended: Is told of a session that was opened for a client which has ended.
    """

    def __init__(self, when_ended: Callable[[Session], None]) -> None:
        self._when_ended = when_ended
        self._clients: dict[str, dict[str, Client]] = {}  # by session
        self._gone: dict[str, dict[str, None]] = {}  # those that have ended, the oldest first

    def begin(self, session: Session, core: OlderSession, *, is_alone: bool) -> Client:
        """A new client of a session."""
        nonce = f"{'a' if is_alone else 'n'}{secrets.token_hex(6)}"
        return self._add(f"{session.id}.{nonce}.{_proof(session, nonce)}", session, core, is_alone=is_alone)

    def find(self, session: Session, client_id: str, version: str | None) -> Client:
        """The client with that id; one of before the server was started again is taken in anew.

        Raises:
            McpError: There is none, of this session.
        """
        client = self._clients.get(session.id, {}).get(client_id)
        if client is None:
            client = self._known(session, client_id, version)
        client.used_at = asyncio.get_running_loop().time()
        return client

    def end(self, client: Client) -> None:
        """The client has ended its MCP session."""
        client.end()
        self._clients.get(client.session.id, {}).pop(client.id, None)
        gone = self._gone.setdefault(client.session.id, {})
        gone[client.id] = None
        if len(gone) > _MOST_REMEMBERED:
            del gone[next(iter(gone))]
        if client.is_alone:
            self._when_ended(client.session)

    def _known(self, session: Session, client_id: str, version: str | None) -> Client:
        named, _, rest = client_id.partition(".")
        nonce, _, proof = rest.partition(".")
        is_ours = named == session.id and hmac.compare_digest(proof.encode(), _proof(session, nonce).encode())
        if not is_ours or client_id in self._gone.get(session.id, ()):
            raise unknown()
        core = OlderSession()
        core.resume(version if version in OLDER else UNNAMED)
        return self._add(client_id, session, core, is_alone=nonce.startswith("a"))

    def _add(self, client_id: str, session: Session, core: OlderSession, *, is_alone: bool) -> Client:
        own = self._clients.get(session.id)
        if own is None:
            own = self._clients[session.id] = {}
            session.when_closed(self._forget)
        self._relieve(own)
        client = own[client_id] = Client(client_id, session, core, is_alone=is_alone)
        client.used_at = asyncio.get_running_loop().time()
        return client

    def _relieve(self, own: dict[str, Client]) -> None:
        now = asyncio.get_running_loop().time()
        idle = sorted((one for one in own.values() if one.is_idle), key=lambda one: one.used_at)
        for index, client in enumerate(idle):
            if now - client.used_at > _IDLE_S or len(own) - index >= _MOST_OF_ONE_SESSION:
                self.end(client)

    def _forget(self, session: Session) -> None:
        self._gone.pop(session.id, None)
        for client in self._clients.pop(session.id, {}).values():
            client.end()


def mcp_session_of(client_id: str) -> str:
    """The session that an ``Mcp-Session-Id`` names."""
    return client_id.partition(".")[0]


def unknown() -> McpError:
    """What is said of an ``Mcp-Session-Id`` that is none."""
    return McpError(SESSION_NOT_FOUND, "Session not found: begin anew with 'initialize'", http_status=404)


def _proof(session: Session, nonce: str) -> str:
    mac = hmac.digest(session.token_digest, f"mcp:{nonce}".encode(), "sha256")
    return base64.urlsafe_b64encode(mac[:15]).decode()
