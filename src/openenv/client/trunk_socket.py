"""One WebSocket that many sessions share: frames go out and come in, and nobody waits for a particular one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from websockets.asyncio import client as websocket
from websockets.exceptions import ConnectionClosed

from openenv.client.breaks import Broken, Refused
from openenv.client.options import ClientOptions
from openenv.client.sockets import (
    CONNECT_ERRORS,
    Silence,
    broken,
    connect_arguments,
    connect_failed,
    keep_alive,
    timed_out,
)
from openenv.errors import RemoteProtocolError
from openenv.protocol import ClientConnection, Failed, Hello

__all__ = ["TrunkSocket", "Watch", "greeted"]


class _Connection(websocket.ClientConnection):
    """Counts what arrives: of a large message, too, before it is complete."""

    heard_bytes = 0

    def data_received(self, data: bytes) -> None:
        self.heard_bytes += len(data)
        super().data_received(data)


class TrunkSocket:
    """A connection. ``TrunkSocket.connect`` makes one."""

    def __init__(self, connection: websocket.ClientConnection) -> None:
        self._connection = connection

    @staticmethod
    async def connect(options: ClientOptions, timeout_s: float) -> TrunkSocket:
        """Connect; raises ``ConnectFailed``."""
        try:
            connection = await websocket.connect(
                options.address.websocket, create_connection=_Connection, **connect_arguments(options, timeout_s)
            )
        except CONNECT_ERRORS as error:
            raise connect_failed(options, error) from error
        keep_alive(connection.transport.get_extra_info("socket"))
        return TrunkSocket(connection)

    @property
    def subprotocol(self) -> str | None:
        """What the server chose."""
        return self._connection.subprotocol

    async def send(self, frame: str | bytes) -> None:
        """Send a frame, when those before it are on their way. That the connection ended, ``receive`` tells."""
        with suppress(ConnectionClosed):
            await self._connection.send(frame)

    async def receive(self) -> str | bytes:
        """The next frame; raises ``Broken`` when there is none any more."""
        try:
            return await self._connection.recv()
        except ConnectionClosed as error:
            raise broken(error) from error

    def silence(self, period_s: float) -> Silence:
        """Tells, by one look each period, whether the server is still there."""
        return Silence(period_s, self._signs)

    async def ping(self) -> None:
        """Ask the server for a sign of life, without waiting for it."""
        with suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(0):  # enough to put it into the buffer
                await self._connection.ping()

    async def close(self, timeout_s: float) -> None:
        """Say goodbye."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._connection.close()
        self.abort()

    def abort(self) -> None:
        """Hang up at once."""
        self._connection.transport.abort()

    def _signs(self) -> tuple[int, int]:
        heard = self._connection.heard_bytes if isinstance(self._connection, _Connection) else 0
        return heard, self._connection.transport.get_write_buffer_size()


class Watch:
    """Looks once each period whether a server that owes an answer is alive; hangs up if it is not.

    Attributes:
        dead: What it found, if it hung up.
    """

    def __init__(self, socket: TrunkSocket, period_s: float, is_owed: Callable[[], bool]) -> None:
        self.dead: Broken | None = None
        self._socket, self._period_s, self._is_owed = socket, period_s, is_owed
        self._silence: Silence | None = None
        self._ping: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(period_s, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()
        if self._ping is not None:
            self._ping.cancel()

    def _look(self) -> None:
        self._timer = self._loop.call_later(self._period_s, self._look)
        if not self._is_owed():
            self._silence = None
        elif self._silence is None:
            self._silence = self._socket.silence(self._period_s)
        else:
            try:
                if self._silence.should_ping():
                    self._ping = asyncio.create_task(self._socket.ping())
            except Broken as broken:
                self.dead = broken
                self._socket.abort()


async def greeted(options: ClientOptions) -> tuple[TrunkSocket, ClientConnection]:
    """A connection whose server has greeted, or one of protocol v1, which does not.

    Raises:
        ConnectFailed: There is none.
        Broken: It broke before the greeting came.
        Refused: The server has answered something else.
    """
    socket = await TrunkSocket.connect(options, options.connect_timeout_s)
    try:
        connection = ClientConnection(socket.subprotocol)
        if not connection.has_sessions:
            return socket, connection
        try:
            async with asyncio.timeout(options.connect_timeout_s):
                greeting = connection.receive(await socket.receive())
        except TimeoutError:
            raise timed_out(options.connect_timeout_s) from None
        if isinstance(greeting, Failed):
            raise Refused(greeting.to_error())
        if not isinstance(greeting, Hello):
            raise RemoteProtocolError("the server accepted protocol v2 but did not greet")
    except BaseException:
        socket.abort()
        raise
    return socket, connection
