"""An awaited connection, its other end in the hands of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.unit.client.frames import framed
from tests.unit.client.servers import WAIT_S
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from openenv import GenericEnvClient
from openenv.client.async_socket import AsyncSocket
from openenv.client.breaks import Break, Broken
from openenv.client.moves import Ask
from openenv.protocol import Closed, Reply


class Far:
    """The server's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._protocol = ServerProtocol(max_size=None)
        self._heard: list[tuple[Opcode, bytes]] = []

    async def greet(self) -> None:
        while not (events := self._protocol.events_received()):
            self._protocol.receive_data(await self._reader.read(65536))
        assert isinstance(events[0], Request)
        self._protocol.send_response(self._protocol.accept(events[0]))
        self.send(*self._protocol.data_to_send())

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def read(self) -> bytes:
        """What the client sends next, as it is."""
        return await self._reader.read(100)

    async def hear(self) -> tuple[Opcode, bytes]:
        """The next frame of the client."""
        while not self._heard:
            self._protocol.receive_data(await self._reader.read(65536))
            frames = [one for one in self._protocol.events_received() if isinstance(one, Frame)]
            self._heard += [(one.opcode, bytes(one.data)) for one in frames]
        return self._heard.pop(0)


@asynccontextmanager
async def connection() -> AsyncIterator[tuple[AsyncSocket, Far]]:
    """Both ends of a connection over the loopback."""
    arrived: asyncio.Future[Far] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far = Far(reader, writer)
        await far.greet()
        arrived.set_result(far)

    async with asyncio.timeout(WAIT_S), await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        client = await AsyncSocket.connect(GenericEnvClient(f"http://{host}:{port}").options, WAIT_S)
        far = await arrived
        try:
            yield client, far
        finally:
            client.abort()
            far.writer.close()


def said(message: str | bytes) -> Reply | None:
    """What a conversation reads in a message: nothing in a notice."""
    return None if message == b"notice" else Closed(session=str(message))


async def ask(
    client: AsyncSocket, frame: bytes | None = None, timeout_s: float | None = None, silence_s: float | None = None
) -> str:
    return (await client.ask(Ask(frame, said, timeout_s, silence_s))).session


async def test_each_answer_is_taken_once_though_several_come_together() -> None:
    async with connection() as (client, far):
        far.send(
            framed(0x82, b"notice"), framed(0x82, b"1"), framed(0x89, b"hi"), framed(0x81, b"2"), framed(0x82, b"3")[:2]
        )
        assert await ask(client, b"question") == "b'1'"
        assert await ask(client) == "2"
        assert sorted([await far.hear(), await far.hear()]) == [(Opcode.BINARY, b"question"), (Opcode.PONG, b"hi")]
        async with asyncio.TaskGroup() as both:
            asked = both.create_task(ask(client))
            far.send(b"3")
        assert asked.result() == "b'3'"


async def test_a_server_that_says_more_than_is_asked_is_made_to_wait_and_loses_nothing() -> None:
    async with connection() as (client, far):
        far.send(*(framed(0x82, b"%d" % number) for number in range(1000)))
        assert [await ask(client) for _ in range(1000)] == [f"b'{number}'" for number in range(1000)]


async def test_a_cancelled_call_leaves_what_comes_later_to_the_next() -> None:
    async with connection() as (client, far):
        asked = asyncio.create_task(ask(client, b"question"))
        assert await far.hear() == (Opcode.BINARY, b"question")
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        far.send(framed(0x82, b"late"))
        assert await ask(client, b"another") == "b'late'"
        assert await client.tell(b"told", WAIT_S)
        assert [await far.hear(), await far.hear()] == [(Opcode.BINARY, b"another"), (Opcode.BINARY, b"told")]


async def test_time_and_silence() -> None:
    async with connection() as (client, far):
        far.send(framed(0x82, b"notice"), framed(0x82, b"so")[:3])
        with pytest.raises(Broken) as caught:
            await ask(client, b"question", timeout_s=0.01)
        assert caught.value.why is Break.TIMEOUT
        assert await far.hear() == (Opcode.BINARY, b"question")
        far.send(b"o")
        assert await ask(client, silence_s=0.01) == "b'so'"
        with pytest.raises(Broken, match="no sign of life"):
            await ask(client, silence_s=0.01)
        assert await far.hear() == (Opcode.PING, b"")


async def test_an_end_while_nobody_asks_and_while_somebody_does() -> None:
    async with connection() as (client, far):
        far.send(framed(0x82, b"last"), framed(0x88, (1012).to_bytes(2)))
        assert await far.hear() == (Opcode.CLOSE, (1012).to_bytes(2))
        assert client.ended is not None
        assert client.ended.why is Break.SERVER_STOPPED
        assert await ask(client, b"question") == "b'last'"
        with pytest.raises(Broken) as caught:
            await ask(client, b"another")
        assert caught.value.why is Break.SERVER_STOPPED
        assert not await client.tell(b"late", WAIT_S)
    async with connection() as (client, far):
        asked = asyncio.create_task(ask(client, b"question"))
        assert await far.hear() == (Opcode.BINARY, b"question")
        client.abort()
        with pytest.raises(Broken) as caught:
            await asked
        assert caught.value.why is Break.CONNECTION_LOST


async def test_a_goodbye_waits_for_the_servers() -> None:
    async with connection() as (client, far), asyncio.TaskGroup() as both:
        parted = both.create_task(client.close(WAIT_S))
        assert (await far.hear())[0] is Opcode.CLOSE
        far.send(framed(0x82, b"late"), framed(0x89, b"hi"))
        assert (await far.read())[0] == 0x8A  # a pong: it reads on
        far.send(framed(0x88, (1000).to_bytes(2)))
        far.writer.write_eof()
        await parted
        assert "code 1000" in str(client.ended)


def test_another_kind_of_event_loop_will_do() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def play() -> str:
        async with connection() as (client, far):
            far.send(framed(0x82, b"1"))
            return await ask(client)

    assert uvloop.run(play()) == "b'1'"
