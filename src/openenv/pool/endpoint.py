"""One server of a pool: its connections, how full it is, and whether it is there."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from openenv.client import Closable, EnvClient
from openenv.client.breaks import Break
from openenv.client.trunk_session import Answered, TrunkSession
from openenv.client.trunk_solo import SoloTrunk
from openenv.errors import OpenEnvError
from openenv.pool.events import Teller
from openenv.protocol import Hello, Request

if TYPE_CHECKING:
    from openenv.client.trunk import Trunk

__all__ = ["Carrying", "Endpoint"]

log = logging.getLogger("openenv.pool")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
_UNKNOWN_CAPACITY = 64
"""For the load of a server that does not say how many sessions it takes."""


class Carrying(Protocol):
    """What ``Trunk`` and ``SoloTrunk`` have in common."""

    reconnects: int

    @property
    def hello(self) -> Hello | None: ...
    @property
    def has_failed(self) -> bool: ...
    @property
    def sessions(self) -> int: ...
    @property
    def unanswered(self) -> int: ...
    async def connect(self) -> None: ...
    def new_session(self, queue_timeout_s: float, owner: Any = None) -> Any: ...
    def ask(self, session: Any, request: Request | None, answered: Answered) -> None: ...
    def give_up(self, session: Any, why: Break, message: str) -> None: ...
    def end(self, session: Any) -> None: ...
    async def close(self) -> None: ...


class Endpoint:
    """A server and the connections to it.

    Args:
        new_client: Makes a client of it, whose address, types and options are used.
        connections: How many to share its sessions among.
        owned: Ended together with it, such as a server that was started for the pool.
        tell: Told of sessions that wait or take long, and when the server is found gone or back.
        chance: From 0 to 1, for the pauses between attempts to find it again.

    Attributes:
        url: Where it is.
        is_returning: Whether it came back, and has fewer sessions than others because of that.
    """

    def __init__(
        self,
        new_client: Callable[[], EnvClient[Any, Any, Any]],
        connections: int,
        owned: Closable | None,
        tell: Teller,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.options = replace(new_client().options, owned=owned)
        self.url = self.options.address.http
        self.is_returning = False
        self._new_client, self._connections = new_client, connections
        self._tell, self._chance = tell, chance
        self._trunks: list[Carrying] = []
        self._returning: asyncio.Task[None] | None = None
        self._counted = 0  # reconnects of trunks that are no more

    @property
    def is_up(self) -> bool:
        """Whether it can be asked, as far as is known."""
        return self._returning is None and not any(trunk.has_failed for trunk in self._trunks)

    @property
    def hello(self) -> Hello | None:
        """What it said of itself; ``None`` while that is not known, and from protocol v1."""
        return self._trunks[0].hello if self._trunks else None

    @property
    def sessions(self) -> int:
        """How many sessions the pool has there."""
        return sum(trunk.sessions for trunk in self._trunks)

    @property
    def unanswered(self) -> int:
        """How many requests wait for their answer there."""
        return sum(trunk.unanswered for trunk in self._trunks)

    @property
    def reconnects(self) -> int:
        """How often a connection was made after a break."""
        return self._counted + sum(trunk.reconnects for trunk in self._trunks)

    def load(self, more: int = 1) -> float:
        """How full it is with ``more`` sessions than it has, relative to what it takes."""
        capacity = _UNKNOWN_CAPACITY if self.hello is None else self.hello.limits.capacity
        return (self.sessions + more) / max(1, capacity)

    async def connect(self) -> None:
        """Find out what it is, and have connections in the place of those that failed.

        Raises:
            ConnectFailed: It cannot be reached.
        """
        probe = self._trunk()
        try:
            await probe.connect()
        except BaseException:
            await probe.close()
            raise
        sound = [trunk for trunk in self._trunks if not trunk.has_failed]
        self._counted += sum(trunk.reconnects for trunk in self._trunks if trunk.has_failed)
        if probe.is_v1:
            self._trunks = [*sound, SoloTrunk(self._new_client)]
        else:
            self._trunks = [*sound, probe]
            self._trunks += [self._trunk() for _ in range(self._connections - len(self._trunks))]

    def new_session(self, queue_timeout_s: float, index: int) -> tuple[Carrying, Any]:
        """A session, opened with its first request, and the connection to ask it on."""
        if not self._trunks:  # it was not there when the pool began
            self._trunks = [self._trunk() for _ in range(self._connections)]
        trunk = min(self._trunks, key=_sessions)
        return trunk, trunk.new_session(queue_timeout_s, index)

    def note(self) -> None:
        """See whether it is gone; if so, it is tried again and again from now on."""
        if self._returning is None and any(trunk.has_failed for trunk in self._trunks):
            log.warning("%s is gone; its sessions begin elsewhere, or when it is back", self.url)
            self.await_return()

    def await_return(self) -> None:
        """Try to connect, with growing pauses, until that succeeds."""
        if self._returning is None:
            self.is_returning = False
            self._tell.changed(self.url, is_back=False)
            self._returning = asyncio.create_task(self._return())

    async def _return(self) -> None:
        longest_s = _FIRST_PAUSE_S
        while True:
            await asyncio.sleep(self._chance() * longest_s)
            longest_s = min(2 * longest_s, _LONGEST_PAUSE_S)
            try:
                if not self._trunks or any(trunk.has_failed for trunk in self._trunks):
                    await self.connect()
                for trunk in self._trunks:  # one may be trying for itself, as it was asked for something
                    await trunk.connect()
            except OpenEnvError as error:
                log.info("%s is not back: %s", self.url, error)
                continue
            self._returning, self.is_returning = None, True
            self._tell.changed(self.url, is_back=True)
            return

    async def close(self) -> None:
        """End all sessions there."""
        if self._returning is not None:
            self._returning.cancel()
            await asyncio.gather(self._returning, return_exceptions=True)
        await asyncio.gather(*(trunk.close() for trunk in self._trunks))
        if self.options.owned is not None:
            await asyncio.to_thread(self.options.owned.close)

    def _trunk(self) -> Trunk:
        from openenv.client.trunk import Trunk  # here: who only names a pool loads no network

        return Trunk(self.options, on_queued=self._queued, on_running=self._running)

    def _queued(self, session: TrunkSession, position: int) -> None:
        self._tell.queued(session.owner, position)
        if self.options.on_queued is not None:
            try:
                self.options.on_queued(position)
            except Exception:  # a user's function may raise anything; the sessions must go on
                log.exception("on_queued failed")

    def _running(self, session: TrunkSession, elapsed_s: float) -> None:
        self._tell.running(session.owner, elapsed_s)


def _sessions(trunk: Carrying) -> int:
    return trunk.sessions
