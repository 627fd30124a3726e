"""The one session that all requests without a session's name share."""

from __future__ import annotations

import asyncio

from openenv.errors import ResetNeeded
from openenv.protocol import Step
from openenv.session.engine import SessionEngine
from openenv.session.episode.departed import Ending, lost
from openenv.session.once import KeyedRequests
from openenv.session.served.tool_actions import asks_for_list
from openenv.session.session import Session

__all__ = ["SharedSession"]


class SharedSession:
    """A session for clients that never open one. It takes no place.

    Of a class that does not support several instances it gives way, between two requests, when somebody needs the
    only place; its next step then says that the episode was lost.

    Args:
        engine: Where the session lives.

    Attributes:
        keyed: Its requests that came with a key, as HTTP status and body.
    """

    def __init__(self, engine: SessionEngine) -> None:
        self.keyed: KeyedRequests[tuple[int, bytes]] = KeyedRequests()
        self._engine = engine
        self._session: Session | None = None
        self._gave_way = False
        self._sharing = asyncio.Lock()

    async def for_reset(self) -> Session:
        """The session, made if there is none.

        Raises:
            CapacityReached: Somebody has the only place.
        """
        async with self._sharing:
            session = await self._there()
            self._gave_way = False
            return session

    async def for_agents(self) -> Session:
        """The session, made if there is none. Who plays an episode that gave way is told of that nevertheless.

        Raises:
            CapacityReached: Somebody has the only place.
        """
        async with self._sharing:
            return await self._there()

    async def for_step(self, request: Step | None = None) -> Session:
        """The session, which has to be there, unless the step only asks which tools there are.

        Raises:
            ResetNeeded: Nobody called reset yet.
            EpisodeLost: It gave way to another session.
        """
        session = self.now()
        if session is not None:
            return session
        if not self._engine.is_known:
            await self._engine.check()  # only its class tells whether a step needs a reset
        if self._engine.is_lenient or (request and self._engine.has_tools and asks_for_list(request.action)):
            return await self.for_reset()
        raise ResetNeeded("no episode is running; POST /reset first")

    def now(self) -> Session | None:
        """The session; ``None`` before the first reset.

        Raises:
            EpisodeLost: It gave way to another session.
        """
        if self._gave_way:
            raise lost(Ending.GAVE_WAY)
        return self._session

    async def _there(self) -> Session:
        if self._session is None:
            await self._engine.settle()
            if not self._engine.is_concurrent and self._engine.active:
                raise self._engine.full()
            self._session = await self._engine.open(counted=False)
        return self._session

    async def give_way(self) -> None:
        """Free the only place for a session that is about to open, if this one holds it and is idle.

        Raises:
            CapacityReached: It is not idle.
        """
        if self._engine.is_concurrent or not self._engine.is_known:  # not known: no session has been there yet
            return
        async with self._sharing:
            session = self._session
            if session is None:
                return
            if session.is_busy:
                raise self._engine.full()
            self._session, self._gave_way = None, True
            await self._engine.endings.end(session, Ending.GAVE_WAY)
