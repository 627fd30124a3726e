"""A connection whose sessions are at several workers, over real Unix sockets: order, arrays, breaks, back-pressure."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from openenv.fleet import switch as switch_module
from openenv.fleet.door import Door
from openenv.fleet.route import Route
from openenv.fleet.switch import Neighbours, Switch
from openenv.fleet.visits import Carry, visit
from openenv.protocol import ServerCodec, server_codec

Frame = str | bytes
JSON, MSGPACK = "openenv.v2.json", "openenv.v2.msgpack"


class Heard:
    """A conveyor that says what it hears, and answers with it."""

    def __init__(self, put: Callable[[Frame], Any], hang_up: Callable[[], Any]) -> None:
        self.put, self.hang_up = put, hang_up
        self.frames: list[Frame] = []
        self.greeted = False
        self.left = asyncio.Event()
        self.blocked: asyncio.Event | None = None
        self.full: Awaitable[None] | None = None

    async def greet(self) -> bool:
        self.greeted = True
        return True

    def take(self, frame: Frame) -> Awaitable[None] | None:
        self.frames.append(frame)
        self.full = self.put(frame)
        return None if self.blocked is None else self._unblocked(self.blocked)

    async def _unblocked(self, blocked: asyncio.Event) -> None:
        await blocked.wait()

    async def leave(self) -> None:
        self.left.set()


class Endpoint:
    """Stands for the endpoint of another worker."""

    def __init__(self) -> None:
        self.carriers: list[Heard] = []
        self.codecs: list[ServerCodec] = []

    def carrier_here(self, codec: ServerCodec, put: Callable[[Frame], Any], hang_up: Callable[[], Any]) -> Heard:
        self.codecs.append(codec)
        self.carriers.append(Heard(put, hang_up))
        return self.carriers[-1]


class Client:
    """A connection to worker 0; worker 1 is reached over a socket."""

    def __init__(self, paths: list[str], subprotocol: str) -> None:
        self.got: asyncio.Queue[Frame] = asyncio.Queue()
        self.cut = asyncio.Event()
        self.clogged: asyncio.Event | None = None
        self.here = Heard(self.got.put_nowait, self.cut.set)
        self.placed: list[bytes] = []
        codec = server_codec([subprotocol] if subprotocol else [])
        self.switch = Switch(codec, self.here, Neighbours(0, paths, self._place), self._put, self.cut.set)

    async def _place(self, digest: bytes) -> int:
        self.placed.append(digest)
        return 1

    def _put(self, frame: Frame) -> Awaitable[Any] | None:
        self.got.put_nowait(frame)
        return None if self.clogged is None else self.clogged.wait()

    async def next(self) -> Frame:
        async with asyncio.timeout(10):
            return await self.got.get()


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Endpoint]:
    """Worker 1."""
    endpoint = Endpoint()
    door = Door(endpoint, None)  # type: ignore[arg-type]
    server = await asyncio.get_running_loop().create_unix_server(door, str(tmp_path / "1"))
    yield endpoint
    server.close()
    await door.aclose()


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    return [str(tmp_path / "0"), str(tmp_path / "1")]


def step(session: str, number: int) -> str:
    return json.dumps({"type": "step", "session": session, "id": number, "action": {"text": "ä"}})


async def test_each_frame_goes_to_the_worker_of_its_session_in_order(endpoint: Endpoint, paths: list[str]) -> None:
    client = Client(paths, JSON)
    assert await client.switch.greet()
    assert client.here.greeted
    frames = [step(f"{number % 2}-ab", number) for number in range(200)]
    for frame in frames:
        client.switch.take(frame)
    got = [await client.next() for _ in frames]
    assert sorted(got, key=frames.index) == frames
    assert client.here.frames == frames[::2]
    assert endpoint.carriers[0].frames == frames[1::2]
    assert [codec.subprotocol for codec in endpoint.codecs] == [JSON], "one line carries all"
    assert not endpoint.carriers[0].greeted, "its client was greeted where it came in"
    await client.switch.leave()
    await asyncio.wait_for(endpoint.carriers[0].left.wait(), 10)
    assert not client.cut.is_set()


async def test_what_names_no_worker_stays_here(endpoint: Endpoint, paths: list[str]) -> None:
    client = Client(paths, JSON)
    odd = ["no JSON", "{}", "[]", "[1,", step("ab", 1), step("7-ab", 1), step("-1-ab", 1), step("0-ab", 1)]
    for frame in odd:
        client.switch.take(frame)
    assert client.here.frames == odd
    assert not endpoint.carriers
    await client.switch.leave()


async def test_an_array_of_too_many_opens_holds_up_its_own_client_alone_and_only_until_one_is_placed(
    endpoint: Endpoint, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch_module, "_MOST_OPENING", 4)
    client = Client(paths, JSON)
    opens = [json.dumps({"type": "open", "nonce": f"n{number}"}) for number in range(12)]
    waits = client.switch.take(f"[{','.join(opens)}]")
    assert waits is not None
    for _ in opens:
        await client.next()  # all are placed and answered before it is waited for
    await asyncio.wait_for(waits, 10)
    assert endpoint.carriers[0].frames == opens
    await client.switch.leave()


async def test_a_session_is_opened_where_the_desk_says_and_a_fork_where_its_source_is(
    endpoint: Endpoint, paths: list[str]
) -> None:
    client = Client(paths, MSGPACK)
    codec = _packed({"type": "open", "nonce": "n"})
    client.switch.take(codec)
    assert await client.next() == codec
    here = _packed({"type": "open", "nonce": "f", "fork": "0-ab", "token": "t"})
    client.switch.take(here)
    assert await client.next() == here
    assert (endpoint.carriers[0].frames, client.here.frames) == ([codec], [here])
    assert len(client.placed) == 1
    assert len(client.placed[0]) == 32, "the desk is told a digest, not the secret"
    await client.switch.leave()


@pytest.mark.parametrize("form", [JSON, MSGPACK])
async def test_an_array_is_divided_among_workers(form: str, endpoint: Endpoint, paths: list[str]) -> None:
    client = Client(paths, form)
    requests = [{"type": "state", "session": f"{number % 2}-ab", "id": number + 1} for number in range(40)]
    client.switch.take(_frame(requests, form))
    first, second = await client.next(), await client.next()
    told = sorted(_read(first, form) + _read(second, form), key=lambda one: one["id"])
    assert told == requests
    assert len(client.here.frames) == len(endpoint.carriers[0].frames) == 1
    only = _frame(requests[1::2], form)
    client.switch.take(only)
    assert await client.next() == only
    assert endpoint.carriers[0].frames[-1] == only
    await client.switch.leave()


async def test_a_worker_that_is_gone_cuts_the_connection_once(endpoint: Endpoint, paths: list[str]) -> None:
    client = Client(paths, JSON)
    client.switch.take(step("1-ab", 1))
    await client.next()
    endpoint.carriers[0].hang_up()
    await asyncio.wait_for(client.cut.wait(), 10)
    client.cut.clear()
    client.switch.take(step("1-ab", 2))
    client.switch.take(step("0-ab", 1))
    assert await client.next() == step("0-ab", 1)
    assert not client.cut.is_set()
    await client.switch.leave()


async def test_a_connection_of_the_first_version_is_carried_whole(endpoint: Endpoint, paths: list[str]) -> None:
    client = Client(paths, "")
    assert await client.switch.greet()
    frames = ['{"type":"reset","data":{}}', '{"type":"state"}']
    for frame in frames:
        client.switch.take(frame)
    assert [await client.next(), await client.next()] == frames
    carrier = endpoint.carriers[0]
    assert (carrier.greeted, carrier.frames, client.here.greeted) == (True, frames, False)
    carrier.hang_up()  # after a close, or when it is full
    await asyncio.wait_for(client.cut.wait(), 10)
    await client.switch.leave()


async def test_a_client_that_does_not_read_holds_up_its_line_and_nothing_is_lost(
    endpoint: Endpoint, paths: list[str]
) -> None:
    client = Client(paths, JSON)
    client.clogged = asyncio.Event()
    large = step("1-ab", 1)[:-1] + ',"x":"' + "x" * 700_000 + '"}'
    for _ in range(8):
        client.switch.take(large)
    assert await client.next() == large
    for _ in range(300):  # rounds of the loop, in which all would arrive that can
        await asyncio.sleep(0)
    assert client.got.empty()
    full = endpoint.carriers[0].full
    assert isinstance(full, asyncio.Future)
    assert not full.done(), "who answers is to wait as well"
    freed, client.clogged = client.clogged, None
    freed.set()
    assert [await client.next() for _ in range(7)] == [large] * 7
    await client.switch.leave()


async def test_a_worker_that_is_busy_takes_one_frame_after_the_other(endpoint: Endpoint, paths: list[str]) -> None:
    client = Client(paths, JSON)
    client.switch.take(step("1-ab", 0))
    await client.next()
    carrier = endpoint.carriers[0]
    carrier.blocked = asyncio.Event()
    for number in range(1, 4):
        client.switch.take(step("1-ab", number))
    assert await client.next() == step("1-ab", 1)
    assert len(carrier.frames) == 2
    carrier.blocked.set()
    assert [await client.next() for _ in range(2)] == [step("1-ab", 2), step("1-ab", 3)]
    await client.switch.leave()


async def test_a_worker_that_comes_too_late_hears_nothing(tmp_path: Path) -> None:
    """What a client has given up must not run when the next worker is there."""
    path, ended = str(tmp_path / "1"), asyncio.Event()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()  # as the supervisor does, while nobody takes visits
        route = Route(path, visit(Carry("")), lambda _: None, lambda _: None, ended.set, patience_s=0.01)
        route.send("frame")
        await asyncio.wait_for(ended.wait(), 10)
        assert not route.was_reached
        visitor, _ = listening.accept()
        with visitor:
            assert visitor.recv(100) == b""


async def test_a_worker_that_comes_in_time_hears_all(tmp_path: Path) -> None:
    client = Client([str(tmp_path / "0"), str(tmp_path / "1")], JSON)
    for number in range(3):
        client.switch.take(step("1-ab", number))
    endpoint = Endpoint()
    door = Door(endpoint, None)  # type: ignore[arg-type]
    server = await asyncio.get_running_loop().create_unix_server(door, str(tmp_path / "1"))
    assert [await client.next() for _ in range(3)] == [step("1-ab", number) for number in range(3)]
    await client.switch.leave()
    server.close()
    await door.aclose()


def _frame(requests: list[dict[str, Any]], form: str) -> Frame:
    return json.dumps(requests) if form == JSON else _packed(requests)


def _packed(value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


def _read(frame: Frame, form: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        json.loads(frame) if form == JSON else msgspec.msgpack.decode(frame)  # type: ignore[arg-type]
    )
    return found
