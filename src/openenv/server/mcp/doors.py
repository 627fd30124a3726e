"""Which session a request is for: the one that its URL or its token names, or one that is opened for its client."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from weakref import WeakValueDictionary

from openenv.errors import AccessDenied, OpenEnvError, Unauthorized
from openenv.mcp.messages import SESSION_NOT_FOUND, McpError
from openenv.protocol import Reset
from openenv.server.access import Access
from openenv.server.bearer import bearer, session_named
from openenv.server.exchange import Scope
from openenv.session import Ending, Moved, Phase, Session, SessionEngine, SharedSession

__all__ = ["Doors"]

_ENDS_WITHIN_S = 5.0
_MOST_ENDED = 10_000
"""Clients whose environments have ended, and who have not asked since."""


class Doors:
    """Finds and opens sessions for MCP clients.

    Args:
        engine: Where the sessions live.
        shared: The one that requests share which name none.
        access: Who may; and whether nobody controls episodes, so that each client has an environment of its own.
    """

    def __init__(self, engine: SessionEngine, shared: SharedSession, access: Access) -> None:
        self._engine = engine
        self._shared = shared
        self._access = access
        self._of_tokens: dict[str, Session] = {}
        self._ended: dict[str, Ending] = {}  # of tokens whose clients have not been told
        self._beginning: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def named(self, scope: Scope, session_id: str) -> Session:
        """The session that a URL names.

        Raises:
            SessionNotFound, EpisodeLost: There is none.
            Unauthorized, Forbidden: The client may not ask it.
        """
        try:
            return await self._found(scope, session_id)
        except AccessDenied:
            raise
        except OpenEnvError:  # who has no good token need not know which sessions there are
            self._access.admit_mcp(scope, None)
            raise

    async def of_token(self, scope: Scope) -> Session | None:
        """The session that an agent's token is of; ``None`` where none is shown.

        Raises:
            Unauthorized: The token is wrong, or has expired.
        """
        named = session_named(bearer(scope))
        if named is None:
            return None
        try:
            return await self._found(scope, named)
        except AccessDenied:
            raise
        except OpenEnvError:  # who has no good token need not know which sessions there are
            raise Unauthorized("the token is wrong, or its session has ended") from None

    async def _found(self, scope: Scope, session_id: str) -> Session:
        asleep = self._engine.recovery.asleep(session_id)
        if asleep is not None:  # bringing one back is work, which is done for those who may ask it alone
            self._access.admit_mcp(scope, asleep)
        session = await self._engine.recovery.find(session_id)
        self._access.admit_mcp(scope, session)
        return session

    async def kept(self, scope: Scope, session_id: str) -> Session:
        """The session that was opened for a client, which its ``Mcp-Session-Id`` names, and proves.

        Raises:
            SessionNotFound, EpisodeLost: There is none.
            Unauthorized, Forbidden: The client may not have one.
        """
        self._access.admit_mcp(scope, None)
        return await self._engine.recovery.find(session_id)

    async def fresh(self, scope: Scope) -> Session:
        """A session for one client, in which an episode has begun.

        Raises:
            CapacityReached: There is no place for it.
            Unauthorized, Forbidden: The client may not have one.
        """
        self._access.admit_mcp(scope, None)
        session = await self._engine.open(make_room=self._shared.give_way, patient=False)
        self._engine.leases.begin(session)
        try:
            await session.reset(Reset())
        except BaseException:
            self._engine.endings.end_soon(session, Ending.CLOSED)
            raise
        return session

    async def common(self, scope: Scope) -> Session | None:
        """The session of a client that names none and keeps no MCP session; ``None``: it has to keep one.

        In simulation it is the one that plain HTTP requests share; in production that of the bearer token, unless
        that is one which this server has given to all of them.
        """
        self._access.admit_mcp(scope, None)
        token = bearer(scope)
        is_production = self._access.production
        if is_production and (token is None or self._access.enabled):
            return None
        whose = token if is_production and token is not None else ""
        lock = self._beginning.setdefault(whose, asyncio.Lock())
        async with lock:  # two requests at once are of one client
            if whose:
                return await self._of_token(scope, whose)
            session = await self._shared.for_agents()
            if session.phase is Phase.FRESH:  # nobody has begun an episode: who asks first does
                await session.reset(Reset())
            return session

    async def _of_token(self, scope: Scope, token: str) -> Session:
        ending = self._ended.pop(token, None)
        if ending is not None:  # once: nothing goes on in another environment without a word
            message = f"Your environment has ended: {ending.told}. The next request begins a new one."
            raise McpError(SESSION_NOT_FOUND, message, http_status=410)
        session = self._of_tokens.get(token)
        if session is None or session.is_ending:
            session = self._of_tokens[token] = await self.fresh(scope)
            session.when_closed(lambda closed: self._forget(token, closed))
        return session

    def shuts_out(self, scope: Scope, session: Session, news: object) -> bool:
        """Whether who listens to a session may do so no more after what has happened in it: its token was for the
        episode before."""
        if not (isinstance(news, Moved) and isinstance(news.request, Reset)):
            return False
        try:
            self._access.admit_mcp(scope, session)
        except AccessDenied:
            return True
        return False

    def is_for_agents(self, scope: Scope) -> bool:
        """Whether a request came in where there is nothing that controls episodes."""
        return self._access.is_agent_plane(scope)

    def asked(self, session: Session) -> None:
        """A request came for a session."""
        self._engine.leases.renew(session)

    def hold(self, session: Session) -> None:
        """A stream of the session is open."""
        self._engine.leases.hold(session)

    def let_go(self, session: Session) -> None:
        """It has ended."""
        self._engine.leases.let_go(session)

    def end(self, session: Session, ending: Ending = Ending.CLOSED) -> None:
        """The client that a session was opened for has gone."""
        self._engine.endings.end_soon(session, ending)

    async def ended(self, session: Session) -> None:
        """Wait until it is gone, so that its place is free and the journal knows; not for calls that do not end."""
        with suppress(OpenEnvError, TimeoutError):
            async with asyncio.timeout(_ENDS_WITHIN_S):
                await session.close()

    def _forget(self, token: str, closed: Session) -> None:
        if self._of_tokens.get(token) is closed:
            del self._of_tokens[token]
            self._ended[token] = closed.ending or Ending.CLOSED
            while len(self._ended) > _MOST_ENDED:
                del self._ended[next(iter(self._ended))]
