"""One WebSocket to a server, awaited."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from openenv.client.breaks import Broken
from openenv.client.moves import Ask
from openenv.client.options import ClientOptions
from openenv.client.sockets import (
    CONNECT_ERRORS,
    Silence,
    broken,
    closed_with,
    connect_arguments,
    connect_failed,
    keep_alive,
    timed_out,
)
from openenv.protocol import Reply

__all__ = ["AsyncSocket"]


class _Connection(ClientConnection):
    """Counts what arrives: of a large message, too, before it is complete."""

    heard_bytes = 0

    def data_received(self, data: bytes) -> None:
        self.heard_bytes += len(data)
        super().data_received(data)


class AsyncSocket:
    """A connection. ``AsyncSocket.connect`` makes one."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @staticmethod
    async def connect(options: ClientOptions, timeout_s: float) -> AsyncSocket:
        """Connect; raises ``ConnectFailed``."""
        try:
            connection = await connect(
                options.address.websocket, create_connection=_Connection, **connect_arguments(options, timeout_s)
            )
        except CONNECT_ERRORS as error:
            raise connect_failed(options, error) from error
        keep_alive(connection.transport.get_extra_info("socket"))
        return AsyncSocket(connection)

    @property
    def subprotocol(self) -> str | None:
        """What the server chose."""
        return self._connection.subprotocol

    @property
    def ended(self) -> Broken | None:
        """How it ended, if it is known to be gone."""
        code = self._connection.close_code
        return None if code is None else closed_with(code)

    async def ask(self, move: Ask) -> Reply:
        """Send the frame, if there is one, and wait for the answer; see ``Ask``."""
        loop = asyncio.get_running_loop()
        over_at = None if move.timeout_s is None else loop.time() + move.timeout_s
        silence = None if move.silence_s is None else Silence(move.silence_s, self._signs)
        frame = move.frame
        while True:
            look_at = None if move.silence_s is None else loop.time() + move.silence_s
            try:
                async with asyncio.timeout_at(min((at for at in (over_at, look_at) if at is not None), default=None)):
                    if frame is not None:
                        unsent, frame = frame, None  # all of it is in the buffer, however long that takes to empty
                        with suppress(ConnectionClosed):  # what the server said before it left is still to be read
                            await self._connection.send(unsent)
                    while (reply := move.take(await self._connection.recv())) is None:
                        pass
                    return reply
            except ConnectionClosed as error:
                raise broken(error) from error
            except TimeoutError as error:
                if silence is None or (over_at is not None and loop.time() >= over_at):
                    raise timed_out(move.timeout_s) from error
            if silence.should_ping():
                await self._ping()

    async def tell(self, frame: str | bytes, timeout_s: float) -> bool:
        """Send a frame that nobody waits to see answered; whether the connection took it in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._connection.send(frame)
        except (ConnectionClosed, TimeoutError):
            return False
        return True

    async def close(self, timeout_s: float) -> None:
        """Say goodbye."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._connection.close()

    def abort(self) -> None:
        """Hang up at once."""
        self._connection.transport.abort()

    def _signs(self) -> tuple[int, int]:
        heard = self._connection.heard_bytes if isinstance(self._connection, _Connection) else 0
        return heard, self._connection.transport.get_write_buffer_size()

    async def _ping(self) -> None:
        with suppress(ConnectionClosed, TimeoutError):  # who waits for the answer is told
            async with asyncio.timeout(0):  # enough to put it into the buffer
                await self._connection.ping()
