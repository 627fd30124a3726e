"""The proxy of the soak does to a line what it is told, at the byte it is told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
from tests.soak.faults import Direction, Drawn, Fault, Kind, Planned
from tests.soak.proxy import Lane, Proxy

LIMIT_S = 10.0
TO_SERVER, TO_CLIENT = Direction.TO_SERVER, Direction.TO_CLIENT
HANDSHAKE = b"GET / HTTP/1.1\r\n\r\n"


class Echo:
    """A server that notes what each connection brought and how it ended, and sends it back."""

    def __init__(self) -> None:
        self.heard: list[bytearray] = []
        self.ends: list[str] = []
        self.changed = asyncio.Condition()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = bytearray()
        self.heard.append(heard)
        try:
            while data := await reader.read(65536):
                heard += data
                writer.write(data)
                await self._tell()
            end = "eof"
        except ConnectionResetError:
            end = "reset"
        self.ends.append(end)
        writer.close()
        await self._tell()

    async def until(self, heard: bytes | None = None, ends: int = 0) -> None:
        async with asyncio.timeout(LIMIT_S), self.changed:
            await self.changed.wait_for(lambda: len(self.ends) >= ends and (heard is None or heard in self.heard))

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()


@asynccontextmanager
async def line(faults: Iterable[Fault | None] = (), **options: tuple[bytes, bytes]) -> AsyncIterator[tuple[Echo, Lane]]:
    echo = Echo()
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = Proxy(server.sockets[0].getsockname()[1])
    try:
        yield echo, await proxy.lane(Planned(faults), **options)
    finally:
        await proxy.aclose()
        server.close()
        await server.wait_closed()


async def dial(lane: Lane) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(lane.url.rpartition(":")[2]))


async def hear(reader: asyncio.StreamReader) -> tuple[bytes, str]:
    """All that arrives, and how it ends."""
    got = bytearray()
    async with asyncio.timeout(LIMIT_S):
        try:
            while data := await reader.read(65536):
                got += data
        except ConnectionResetError:
            return bytes(got), "reset"
    return bytes(got), "eof"


async def test_without_faults_everything_passes() -> None:
    async with line() as (echo, lane):
        reader, writer = await dial(lane)
        sent = random.Random(1).randbytes(300_000)
        writer.write(sent)
        writer.write_eof()
        assert await hear(reader) == (sent, "eof")
        assert echo.ends == ["eof"]
        assert lane.passed == {TO_SERVER: len(sent), TO_CLIENT: len(sent)}
        writer.close()


@pytest.mark.parametrize("after", [0, 1, 7, 10])
@pytest.mark.parametrize(("kind", "ends"), [(Kind.RESET, "reset"), (Kind.GOODBYE, "eof")])
async def test_a_cut_lets_so_many_bytes_to_the_server(kind: Kind, ends: str, after: int) -> None:
    async with line([Fault(kind, TO_SERVER, after)]) as (echo, lane):
        reader, writer = await dial(lane)
        writer.write(b"0123456789")
        assert (await hear(reader))[1] == ends
        await echo.until(ends=1)
        assert bytes(echo.heard[0]) == b"0123456789"[:after]
        assert [one.kind for one in lane.happened] == [kind]
        writer.close()


@pytest.mark.parametrize("after", [0, 1, 7, 10])
async def test_a_cut_lets_so_many_bytes_to_the_client(after: int) -> None:
    async with line([Fault(Kind.RESET, TO_CLIENT, after)]) as (_, lane):
        reader, writer = await dial(lane)
        writer.write(b"0123456789")
        assert await hear(reader) == (b"0123456789"[:after], "reset")
        writer.close()


async def test_a_cut_can_count_from_the_end_of_the_handshake() -> None:
    async with line([Fault(Kind.RESET, TO_SERVER, 3, past_handshake=True)]) as (echo, lane):
        reader, writer = await dial(lane)
        writer.write(HANDSHAKE[:-1])
        await echo.until(HANDSHAKE[:-1])
        writer.write(HANDSHAKE[-1:])
        assert await reader.readexactly(len(HANDSHAKE)) == HANDSHAKE
        writer.write(b"01234")
        await hear(reader)
        await echo.until(ends=1)
        assert bytes(echo.heard[0]) == HANDSHAKE + b"012"
        writer.close()


async def test_a_fault_laid_now_counts_from_now() -> None:
    async with line() as (echo, lane):
        reader, writer = await dial(lane)
        writer.write(b"before")
        assert await reader.readexactly(6) == b"before"
        lane.lay(Fault(Kind.RESET, TO_SERVER, 2))
        writer.write(b"after")
        assert await hear(reader) == (b"", "reset")
        await echo.until(ends=1)
        assert bytes(echo.heard[0]) == b"beforeaf"
        writer.close()


async def test_a_fault_laid_with_nobody_there_is_for_the_next() -> None:
    async with line([Fault(Kind.RESET, TO_SERVER, 0), None]) as (echo, lane):
        reader, writer = await dial(lane)
        writer.write(b"first")
        assert await hear(reader) == (b"", "reset")
        writer.close()
        lane.lay(Fault(Kind.RESET, TO_SERVER, 3))
        reader, writer = await dial(lane)
        writer.write(b"second")
        await hear(reader)
        await echo.until(ends=2)
        assert sorted(map(bytes, echo.heard)) == [b"", b"sec"]
        writer.close()


async def test_a_half_close_ends_one_direction_first() -> None:
    async with line([Fault(Kind.HALF_CLOSE, TO_SERVER, 4, seconds=LIMIT_S)]) as (echo, lane):
        reader, writer = await dial(lane)
        writer.write(b"0123456789")
        assert await hear(reader) == (b"0123", "eof")  # what the server had heard still comes back
        assert (bytes(echo.heard[0]), echo.ends) == (b"0123", ["eof"])
        writer.close()


async def test_a_stall_holds_one_direction_and_lets_go() -> None:
    async with line([Fault(Kind.STALL, TO_CLIENT, 4, seconds=0.05), None]) as (echo, lane):
        reader, writer = await dial(lane)
        writer.write(b"0123456789")
        await echo.until(b"0123456789")  # the other direction goes on
        assert await reader.readexactly(4) == b"0123"
        assert await reader.readexactly(6) == b"456789"
        assert [one.kind for one in lane.happened] == [Kind.STALL]
        writer.close()


async def test_a_black_hole_swallows_both_directions() -> None:
    async with line([Fault(Kind.BLACK_HOLE, TO_SERVER, 4, seconds=0.1)]) as (echo, lane):
        reader, writer = await dial(lane)
        writer.write(b"0123456789")
        await echo.until(b"0123")
        writer.write(b"more")
        assert await hear(reader) == (b"", "reset")  # in the end
        await echo.until(ends=1)
        assert bytes(echo.heard[0]) == b"0123"
        writer.close()


async def test_stale_bytes_arrive_after_the_client_is_back() -> None:
    async with line([Fault(Kind.STALE, TO_SERVER, 4), None]) as (echo, lane):
        reader, writer = await dial(lane)
        writer.write(b"0123456789")
        assert (await hear(reader))[1] == "reset"
        assert echo.heard == [b"0123"]
        writer.close()
        reader, writer = await dial(lane)
        writer.write(b"resumed")
        assert await reader.readexactly(7) == b"resumed"
        await echo.until(b"0123456789")
        assert echo.heard == [b"0123456789", b"resumed"]
        assert lane.stale_after_resume == 1
        writer.close()


async def test_a_lane_refuses_when_told_and_without_a_server() -> None:
    async with line() as (echo, lane):
        lane.refuses = True
        reader, writer = await dial(lane)
        assert await hear(reader) == (b"", "reset")
        writer.close()
        lane.refuses, lane.proxy.upstream = False, None
        reader, writer = await dial(lane)
        assert await hear(reader) == (b"", "reset")
        writer.close()
        assert (echo.heard, lane.accepted) == ([], [])


async def test_dropping_cuts_what_is_there() -> None:
    async with line() as (echo, lane):
        reader, writer = await dial(lane)
        writer.write(b"here")
        assert await reader.readexactly(4) == b"here"
        lane.drop()
        assert await hear(reader) == (b"", "reset")
        await echo.until(ends=1)
        writer.close()


async def test_a_lane_can_hide_what_a_handshake_offers() -> None:
    async with line(hide=(b"msgpack", b"nothing")) as (_, lane):
        reader, writer = await dial(lane)
        writer.write(b"offers msgpack")
        assert await reader.readexactly(14) == b"offers nothing"
        writer.write(b" msgpack")
        assert await reader.readexactly(8) == b" msgpack"
        writer.close()


def test_drawn_faults_are_those_of_the_seed() -> None:
    def draws(seed: int) -> list[Fault | None]:
        drawn = Drawn(random.Random(seed), 5000, 1.0, 2.0)
        return [drawn.draw() for _ in range(300)]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)
    faults = [one for one in draws(1) if one is not None]
    assert {one.kind for one in faults} == set(Kind)
    assert {one.direction for one in faults if one.kind is Kind.STALL} == set(Direction)
    assert all(one.after >= 0 and 0 < one.seconds <= 2 for one in faults)
