"""One connection through the proxy: its bytes in both directions, and the faults that happen to it."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.soak.faults import Direction, Fault, Kind

if TYPE_CHECKING:
    from tests.soak.proxy import Lane

__all__ = ["Connection", "Happened", "reset"]

_HANDSHAKE_ENDS = b"\r\n\r\n"
_BACK = (b"resumed", b"opened", b"HTTP/1.1 2")
"""Words of a server to a client that has come back."""
_CHUNK = 65536
_LINGER_S = 0.5
"""How long a connection is left open after stale bytes were delivered, so that the server reads them."""
_NOBODY_RESUMES_S = 4.0
"""After which stale bytes are delivered though no client has come back."""


@dataclass(frozen=True)
class Happened:
    """A fault that took place, and when: seconds of the monotonic clock."""

    kind: Kind
    at: float


class Flow:
    """One direction of a connection."""

    def __init__(self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.direction = direction
        self.reader = reader
        self.writer = writer
        self.passed = 0
        self.handshake_over_at: int | None = None
        self.swallows = False
        self._seen = b""
        writer.transport.set_write_buffer_limits(0)  # what was written before a cut has left

    def looks_at(self, data: bytes) -> int:
        """Find the end of the handshake; its bytes, where this is the data that ends it, else 0."""
        if self.handshake_over_at is not None:
            return 0
        self._seen += data
        found = self._seen.find(_HANDSHAKE_ENDS)
        if found < 0:
            return 0
        self.handshake_over_at = found + len(_HANDSHAKE_ENDS)
        self._seen = b""
        return self.handshake_over_at

    async def write(self, data: bytes) -> None:
        self.passed += len(data)
        if data and not self.swallows:
            self.writer.write(data)
            await self.writer.drain()


class Connection:
    """One connection of a client, and the one to the server that goes with it."""

    def __init__(
        self,
        lane: Lane,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._lane = lane
        self._client, self._server = client[1], server[1]
        self._to_server = Flow(Direction.TO_SERVER, client[0], server[1])
        self._to_client = Flow(Direction.TO_CLIENT, server[0], client[1])
        self._fault: Fault | None = None
        self._from = 0
        self._is_stale = False
        self._over = asyncio.Event()
        self.lay(lane.draw())

    @property
    def passed(self) -> dict[Direction, int]:
        return {flow.direction: flow.passed for flow in (self._to_server, self._to_client)}

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def lay(self, fault: Fault | None) -> None:
        self._fault = fault
        if fault is not None:
            self._from = self._flow(fault.direction).passed

    def abort(self) -> None:
        """Reset both sides."""
        self._over.set()
        reset(self._client)
        reset(self._server)

    async def carry(self) -> None:
        """Carry until both directions are at their end, or the connection is over."""
        over = asyncio.create_task(self._over.wait())
        flows = asyncio.gather(self._pump(self._to_server), self._pump(self._to_client))
        try:
            await asyncio.wait({over, flows}, return_when=asyncio.FIRST_COMPLETED)
            if flows.done() and not self._over.is_set():
                for writer in (self._client, self._server):
                    writer.close()
                    with suppress(OSError):
                        await writer.wait_closed()
        finally:
            over.cancel()
            flows.cancel()
            await asyncio.gather(over, flows, return_exceptions=True)

    def _flow(self, direction: Direction) -> Flow:
        return self._to_server if direction is Direction.TO_SERVER else self._to_client

    async def _pump(self, flow: Flow) -> None:
        with suppress(OSError):
            while data := await flow.reader.read(_CHUNK):
                if self._is_stale and flow is self._to_client:
                    continue  # nobody is there to read it
                if self._lane.hide is not None and flow is self._to_server and flow.passed == 0:
                    data = data.replace(*self._lane.hide)
                self._lane.handshakes[flow.direction] += flow.looks_at(data)
                await self._pass(flow, data)
            if not self._is_stale and flow.writer.can_write_eof():
                flow.writer.write_eof()
            return
        self.abort()

    async def _pass(self, flow: Flow, data: bytes) -> None:
        """Let bytes through up to the fault, have it happen, and go on with the rest if the connection outlives it."""
        while data or (self._fault is not None and self._room(flow) == 0):
            room = self._room(flow)
            head, data = (data, b"") if room is None else (data[:room], data[room:])
            await flow.write(head)
            self._lane.passed[flow.direction] += len(head)
            if flow is self._to_client and any(word in head for word in _BACK):
                self._lane.resumed.set()
            fault = self._fault
            if fault is None or self._room(flow) != 0:
                continue
            self._fault = None
            data = await self._happens(fault, flow, data)

    def _room(self, flow: Flow) -> int | None:
        """Bytes that may pass before the fault; ``None`` if it lies elsewhere."""
        fault = self._fault
        if fault is None or fault.direction is not flow.direction:
            return None
        start = self._from
        if fault.past_handshake:
            if flow.handshake_over_at is None or self._to_client.handshake_over_at is None:
                return None
            start = max(start, flow.handshake_over_at)
        return max(0, start + fault.after - flow.passed)

    async def _happens(self, fault: Fault, flow: Flow, rest: bytes) -> bytes:
        """Do it; returns what is still to be carried."""
        self._lane.happened.append(Happened(fault.kind, time.monotonic()))
        match fault.kind:
            case Kind.STALL:
                await asyncio.sleep(fault.seconds)
                self.lay(self._lane.faults.draw())
                return rest
            case Kind.RESET:
                self.abort()
            case Kind.GOODBYE:
                self._client.close()
                self._server.close()
                self._over.set()
            case Kind.HALF_CLOSE:
                flow.writer.write_eof()
                flow.swallows = True
                asyncio.get_running_loop().call_later(fault.seconds, self.abort)
            case Kind.BLACK_HOLE:
                self._to_server.swallows = self._to_client.swallows = True
                asyncio.get_running_loop().call_later(fault.seconds, self.abort)
            case Kind.STALE:
                await self._deliver_late(rest)
        return b""

    async def _deliver_late(self, held: bytes) -> None:
        """Hang up on the client, and give the server its last bytes once the client goes on elsewhere."""
        self._is_stale = True
        self._lane.resumed.clear()
        if not held:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_S):
                    held = await self._to_server.reader.read(_CHUNK)
        reset(self._client)
        try:
            async with asyncio.timeout(_NOBODY_RESUMES_S):
                await self._lane.resumed.wait()
            self._lane.stale_after_resume += bool(held)
        except TimeoutError:
            pass
        await self._to_server.write(held)
        await asyncio.sleep(_LINGER_S)
        self.abort()


def reset(writer: asyncio.StreamWriter) -> None:
    """Hang up without a goodbye: the other side is told that the connection was reset."""
    found: socket.socket | None = writer.get_extra_info("socket")
    if found is not None:
        with suppress(OSError):  # it is closed already
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
