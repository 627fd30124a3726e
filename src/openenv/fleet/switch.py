"""The frames of one client's connection: each goes to the worker that has its session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from openenv.errors import OpenEnvError
from openenv.fleet.route import Route
from openenv.fleet.visits import Carry, visit
from openenv.protocol import ServerCodec, V2ServerCodec, is_batch
from openenv.protocol.addressing import Address, address_of, addresses_of, owner_of, rejoined
from openenv.server.carrier import Frame, HangUp, Put
from openenv.server.conveyor import Conveyor
from openenv.session.episode.chronicle import digest

__all__ = ["Neighbours", "Switch"]

_MOST_OPENING = 4096
"""Sessions that one connection may be having placed before no more is read."""


@dataclass(frozen=True)
class Neighbours:
    """The workers of a server, as one of them sees them.

    Attributes:
        own: Its own number.
        paths: The Unix sockets of all, by number.
        place: Tells where a session is to be opened, by the digest of its nonce; empty if it has none.
    """

    own: int
    paths: Sequence[str]
    place: Callable[[bytes], Awaitable[int]]

    def owner(self, session_id: str) -> int:
        """The worker of a session; this one where there is no such worker, and what is wrong will be said here."""
        found = owner_of(session_id)
        return found if found is not None and found < len(self.paths) else self.own

    async def placed(self, nonce: str, fork: str = "") -> int:
        """The worker that a session is to be opened at: this one where that cannot be found out."""
        if fork:
            return self.owner(fork)
        try:
            return await self.place(digest(nonce) if nonce else b"")
        except OpenEnvError:
            return self.own


class Switch:
    """Handles a connection's frames like a ``Carrier``, with the sessions of all workers.

    When a worker that it has a line to is gone, the connection is cut: clients come back and go on by themselves.

    Args:
        codec: The version that is spoken.
        here: Handles what concerns this worker.
        neighbours: The others.
        put: Sends a frame.
        hang_up: Ends the connection in good order, after what was put.
    """

    def __init__(self, codec: ServerCodec, here: Conveyor, neighbours: Neighbours, put: Put, hang_up: HangUp) -> None:
        self._subprotocol = codec.subprotocol or ""
        self._is_json = codec.subprotocol == V2ServerCodec.subprotocol
        self._here = here
        self._neighbours = neighbours
        self._put = put
        self._hang_up = hang_up
        self._routes: dict[int, Route] = {}
        self._whole: Route | None = None  # of a connection of v1 whose session is elsewhere
        self._opening: set[asyncio.Task[None]] = set()
        self._fewer: asyncio.Event | None = None  # set once fewer are being placed
        self._hanging_up: asyncio.Future[None] | None = None
        self._has_left = False

    async def greet(self) -> bool:
        """Say hello, or have the only session of a connection of v1 opened; whether there is one, or will be."""
        if not self._subprotocol:
            owner = await self._neighbours.placed("")
            if self._has_left:
                return False
            if owner != self._neighbours.own:
                self._whole = self._route(owner)
                return True
        return await self._here.greet()

    def take(self, frame: Frame) -> Awaitable[None] | None:
        """Handle one frame; what is returned is to be awaited before the next."""
        if not self._subprotocol:
            return self._here.take(frame) if self._whole is None else self._whole.send(frame)
        if is_batch(frame):
            return self._take_all(frame)
        address = address_of(frame, is_json=self._is_json)
        if address.type == "open":
            self._open(frame, address)
            return self._room()
        return self._deliver(self._neighbours.owner(address.session), frame)

    async def leave(self) -> None:
        """The connection has ended."""
        self._has_left = True
        for task in self._opening:
            task.cancel()
        for route in (*self._routes.values(), *((self._whole,) if self._whole else ())):
            route.close()
        await self._here.leave()

    def _take_all(self, frame: Frame) -> Awaitable[None] | None:
        try:
            requests = addresses_of(frame, is_json=self._is_json)
        except OpenEnvError:
            return self._here.take(frame)
        parts: dict[int, list[bytes]] = {}
        waits: list[Awaitable[None] | None] = []
        for part, address in requests:
            if address.type == "open":
                self._open(part.decode() if self._is_json else part, address)
            else:
                parts.setdefault(self._neighbours.owner(address.session), []).append(part)
        for owner, own in parts.items():
            whole = frame if len(own) == len(requests) else rejoined(own, is_json=self._is_json)
            waits.append(self._deliver(owner, whole))
        waits.append(self._room())
        pending = [one for one in waits if one is not None]
        return _all(pending) if pending else None

    def _deliver(self, owner: int, frame: Frame) -> Awaitable[None] | None:
        if owner == self._neighbours.own:
            return self._here.take(frame)
        route = self._routes.get(owner)
        if route is None:
            route = self._routes[owner] = self._route(owner)
        return route.send(frame)

    def _open(self, frame: Frame, address: Address) -> None:
        task = asyncio.create_task(self._opened(frame, address))
        self._opening.add(task)
        task.add_done_callback(self._placed)

    def _placed(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if self._fewer is not None:
            self._fewer.set()
            self._fewer = None

    def _room(self) -> Awaitable[Any] | None:
        """What to wait for before more is read."""
        if len(self._opening) < _MOST_OPENING:
            return None
        if self._fewer is None:
            self._fewer = asyncio.Event()
        return self._fewer.wait()

    async def _opened(self, frame: Frame, address: Address) -> None:
        owner = await self._neighbours.placed(address.nonce, address.fork)
        under_way = self._deliver(owner, frame)
        if under_way is not None:
            await under_way

    def _route(self, owner: int) -> Route:
        header = visit(Carry(self._subprotocol))
        return Route(self._neighbours.paths[owner], header, self._put, _ignore, self._cut)

    def _cut(self) -> None:
        if self._has_left or self._hanging_up is not None:
            return
        under_way = self._hang_up()
        if under_way is not None:
            self._hanging_up = asyncio.ensure_future(under_way)
            self._hanging_up.add_done_callback(lambda done: done.cancelled() or done.exception())


async def _all(waits: list[Awaitable[None]]) -> None:
    for one in waits:
        await one


def _ignore(_: bytes) -> None:
    pass
