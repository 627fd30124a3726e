"""One WebSocket to a server, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from openenv.client.conversation import Broken
from openenv.client.options import ClientOptions
from openenv.client.sockets import (
    CONNECT_ERRORS,
    broken,
    closed_with,
    connect_arguments,
    connect_failed,
    keep_alive,
    timed_out,
)
from openenv.protocol import Reply

__all__ = ["AsyncSocket"]


class AsyncSocket:
    """A connection. ``AsyncSocket.connect`` makes one."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @staticmethod
    async def connect(options: ClientOptions) -> AsyncSocket:
        """Connect; raises ``ConnectFailed``."""
        try:
            connection = await connect(options.address.websocket, **connect_arguments(options))
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

    async def ask(
        self, frame: str | None, take: Callable[[str | bytes], Reply | None], timeout_s: float | None
    ) -> Reply:
        """Send a frame, if there is one, and wait until ``take`` finds the answer in what arrives.

        Raises:
            Broken: The connection ended, or nothing came in time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                if frame is not None:
                    with suppress(ConnectionClosed):  # what the server said before it left is still to be read
                        await self._connection.send(frame)
                while (reply := take(await self._connection.recv())) is None:
                    pass
                return reply
        except ConnectionClosed as error:
            raise broken(error) from error
        except TimeoutError as error:
            raise timed_out(timeout_s) from error

    async def tell(self, frame: str) -> None:
        """Send a frame that has no answer."""
        with suppress(ConnectionClosed):  # nobody is there to be told
            await self._connection.send(frame)

    async def close(self) -> None:
        """Say goodbye."""
        await self._connection.close()

    def abort(self) -> None:
        """Hang up at once."""
        self._connection.transport.abort()
