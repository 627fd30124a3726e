"""A TCP proxy on loopback whose lines break where they are told to."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from tests.soak.carrying import Connection, Happened, reset
from tests.soak.faults import CUTS, Direction, Fault, Faults, Kind, Planned

__all__ = ["Happened", "Lane", "Proxy"]


class Proxy:
    """Lanes to one server, each with an address of its own.

    ``upstream`` is the server's port; ``None`` while there is none, and connections are refused.
    """

    def __init__(self, upstream: int | None = None) -> None:
        self.upstream = upstream
        self.lanes: list[Lane] = []

    async def lane(self, faults: Faults | None = None, *, hide: tuple[bytes, bytes] | None = None) -> Lane:
        """A new address.

        Args:
            faults: What happens to its connections; by default nothing.
            hide: Bytes of a handshake to replace, and by what, of the same length.
        """
        lane = Lane(self, faults or Planned(), hide)
        await lane.listen()
        self.lanes.append(lane)
        return lane

    @property
    def happened(self) -> Counter[Kind]:
        """How many faults of each kind took place."""
        return Counter(one.kind for lane in self.lanes for one in lane.happened)

    @property
    def cuts(self) -> int:
        """How many faults made another connection necessary."""
        return sum(count for kind, count in self.happened.items() if kind in CUTS)

    async def aclose(self) -> None:
        """End all lanes and their connections."""
        await asyncio.gather(*(lane.aclose() for lane in self.lanes))


class Lane:
    """One address, for one client: its connections know of each other.

    Attributes:
        accepted: When each connection was accepted. Monotonic seconds.
        happened: The faults so far.
        passed: Bytes that went through, by direction, of all connections.
        handshakes: Those of them that were handshakes.
        refuses: Set it to have all new connections refused.
        stale_after_resume: How often held bytes were delivered after the client had resumed elsewhere.
    """

    def __init__(self, proxy: Proxy, faults: Faults, hide: tuple[bytes, bytes] | None) -> None:
        self.proxy = proxy
        self.faults = faults
        self.hide = hide
        self.url = ""
        self.accepted: list[float] = []
        self.happened: list[Happened] = []
        self.passed = dict.fromkeys(Direction, 0)
        self.handshakes = dict.fromkeys(Direction, 0)
        self.stale_after_resume = 0
        self.refuses = False
        self.resumed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._live: list[Connection] = []
        self._newest: Connection | None = None
        self._laid: Fault | None = None
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def lay(self, fault: Fault | None) -> None:
        """Have a fault, instead of the one that was to come, happen to the connection that is there, or to the next.

        Its bytes count from now.
        """
        there = [connection for connection in self._live if not connection.is_over]
        for connection in there:
            connection.lay(fault)
        self._laid = None if there else fault

    def draw(self) -> Fault | None:
        """The fault of a connection that is new."""
        laid, self._laid = self._laid, None
        return self.faults.draw() if laid is None else laid

    def drop(self) -> None:
        """Cut every connection now."""
        for connection in list(self._live):
            connection.abort()

    @property
    def passed_last(self) -> dict[Direction, int]:
        """Bytes that went through the newest connection."""
        return dict.fromkeys(Direction, 0) if self._newest is None else self._newest.passed

    async def aclose(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._carry(reader, writer)
        except asyncio.CancelledError:  # the lane is being closed; a stream's task must not end cancelled
            pass
        finally:
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = self.proxy.upstream
        try:
            if upstream is None or self.refuses:
                raise ConnectionRefusedError
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", upstream)
        except OSError:
            reset(writer)
            return
        except BaseException:
            reset(writer)
            raise
        self.accepted.append(time.monotonic())
        connection = Connection(self, (reader, writer), (server_reader, server_writer))
        self._live.append(connection)
        self._newest = connection
        try:
            await connection.carry()
        finally:
            self._live.remove(connection)
            connection.abort()
