"""Sessions of a server that takes one a connection (protocol v1): a client and its connection for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from openenv.client.async_client import EnvClient
from openenv.client.breaks import Break, lost
from openenv.client.trunk_session import Answered
from openenv.errors import (
    CapacityReached,
    ConnectFailed,
    EpisodeLost,
    FactoryFailed,
    OpenEnvError,
    RequestTimeout,
    SessionClosed,
)
from openenv.protocol import GetState, Hello, Request, Reset, Step

__all__ = ["SoloSession", "SoloTrunk"]

_NO_SESSION = (CapacityReached, ConnectFailed, FactoryFailed)


class SoloSession:
    """A session with a connection of its own.

    Attributes:
        error: Why it is over; ``None`` while it can be asked.
    """

    def __init__(self, client: EnvClient[Any, Any, Any]) -> None:
        self.client = client
        self.error: OpenEnvError | None = None
        self.answered: Answered | None = None
        self.request: Request | None = None
        self.task: asyncio.Task[None] | None = None


class SoloTrunk:
    """What ``Trunk`` does, for a server of protocol v1. A request that waits is a task here.

    Args:
        new_client: Makes a client of the server, not connected.
    """

    hello: Hello | None = None
    reconnects = 0

    def __init__(self, new_client: Callable[[], EnvClient[Any, Any, Any]]) -> None:
        self._new_client = new_client
        self._sessions: set[SoloSession] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False
        self.has_failed = False

    @property
    def sessions(self) -> int:
        """How many sessions there are."""
        return len(self._sessions)

    @property
    def unanswered(self) -> int:
        """How many requests wait for their answer."""
        return sum(session.answered is not None for session in self._sessions)

    async def connect(self) -> None:
        """Nothing: each session connects for itself."""

    def new_session(self, queue_timeout_s: float, owner: Any = None) -> SoloSession:
        """A session that connects with its first request; such a server has no queue to wait in."""
        session = SoloSession(self._new_client())
        self._sessions.add(session)
        return session

    def ask(self, session: SoloSession, request: Request | None, answered: Answered) -> None:
        """As ``Trunk.ask``."""
        if session.error is not None or self._is_closing:
            answered(session.error or SessionClosed("it was closed; open it again to go on"))
            return
        session.answered, session.request = answered, request
        session.task = self._run(self._play(session, request))

    def give_up(self, session: SoloSession, why: Break, message: str) -> None:
        """As ``Trunk.give_up``."""
        if session.answered is not None:
            begins = session.request is None or isinstance(session.request, Reset)
            self._leave(session, RequestTimeout(message) if begins else lost(why.value, message))

    def end(self, session: SoloSession) -> None:
        """End a session nobody waits for."""
        self._leave(session, SessionClosed("the session was closed"))

    async def close(self) -> None:
        """End all sessions. Who waits is told ``SessionClosed``."""
        self._is_closing = True
        for session in list(self._sessions):
            self._leave(session, SessionClosed("it was closed while it waited for an answer"))
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _play(self, session: SoloSession, request: Request | None) -> None:
        answer: Any
        try:
            answer = await _asked(session.client, request)
        except OpenEnvError as error:
            answer = error
        except Exception as error:  # noqa: BLE001 - whatever a user's type raises: who waits must be told
            answer = OpenEnvError(f"the client failed: {type(error).__name__}: {error}")
        if isinstance(answer, ConnectFailed):
            self.has_failed = True
        elif not isinstance(answer, OpenEnvError):
            self.has_failed = False
        if isinstance(answer, _NO_SESSION) and not isinstance(answer, EpisodeLost):
            self._leave(session, answer)
        else:
            _tell(session, answer)

    def _leave(self, session: SoloSession, error: OpenEnvError) -> None:
        self._sessions.discard(session)
        if session.error is None:
            self._run(session.client.close())
        session.error = session.error or error
        _tell(session, session.error)

    def _run(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _tell(session: SoloSession, answer: Any) -> None:
    answered, session.answered = session.answered, None
    if answered is not None:
        answered(answer)


async def _asked(client: EnvClient[Any, Any, Any], request: Request | None) -> Any:
    match request:
        case Reset():
            return await client.reset(request.seed, request.episode_id, timeout_s=request.timeout_s, **request.options)
        case Step():
            return await client.step(request.action, request.timeout_s, **request.options)
        case GetState():
            return await client.state()
    await client.connect()
    return None
