"""A connection cut after every byte of every exchange: each answer is the right one, and everything ran once."""

from __future__ import annotations

import asyncio
import functools
import random
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.soak.claims import Claim, Ending
from tests.soak.episodes import Book
from tests.soak.faults import Direction, Fault, Kind, Planned
from tests.soak.http_players import Plain
from tests.soak.judge import Judge
from tests.soak.ledger import read
from tests.soak.proxy import Lane, Proxy
from tests.soak.worlds import Add, Quick, Sum
from tests.unit.server.shells import SHELLS
from tests.unit.server.shells import served as served_by
from websockets.asyncio.client import connect

from openenv import GenericEnvClient, SyncEnvClient
from openenv.app import create_app
from openenv.protocol import SUBPROTOCOLS

pytestmark = pytest.mark.e2e

OPERATIONS = ("open", "reset", "step", "close")
TO_SERVER, TO_CLIENT = Direction.TO_SERVER, Direction.TO_CLIENT
PARALLEL = 6
NUMBER, SEED = 4242, 77
HIDING = {"json": (b"openenv.v2.msgpack", b"openenv.v2.nothing"), "msgpack": (b"openenv.v2.json", b"openenv.v2.none")}
"""The other encoding is taken from what a client offers; left to itself the server would choose."""
CLIENT = {"connect_timeout_s": 10.0, "reconnect_timeout_s": 30.0, "liveness_timeout_s": 10.0}


@dataclass(frozen=True)
class Case:
    """Where one session is cut.

    Attributes:
        cuts: By operation, the byte after which its connection is cut, counted from the operation's beginning and
            without the handshake of the first connection.
        again: The byte after which the connection that follows is cut too, its handshake included.
    """

    direction: Direction
    cuts: dict[str, int]
    again: tuple[Direction, int] | None = None


class OnThread:
    """The synchronous client, awaited: each call runs on a thread."""

    def __init__(self, client: GenericEnvClient) -> None:
        self._env = SyncEnvClient(client)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return functools.partial(asyncio.to_thread, getattr(self._env, name))


class Play:
    """Sessions over one proxy, and what their players know."""

    has_handshake = True

    def __init__(self, proxy: Proxy, encoding: str = "json", in_threads: bool = False) -> None:
        self.proxy = proxy
        self.claims: list[Claim] = []
        self.sizes: dict[tuple[str, Direction], int] = {}
        self.again: dict[tuple[str, Direction], int] = {}
        self._hides = HIDING[encoding]
        self._in_threads = in_threads
        self._names = (f"{number:08}" for number in count())  # of one length, as are all frames of an operation

    async def measure(self) -> None:
        """Count the bytes of each operation, and those of a connection that makes up for a lost answer."""
        await self.session()
        for operation in OPERATIONS:
            await self.session(Case(TO_CLIENT, {operation: 0}))

    async def session(self, case: Case | None = None) -> Lane:
        """One session with one episode of one step, cut as the case has it."""
        lane = await self.proxy.lane(Planned(), hide=self._hides)
        client = GenericEnvClient(lane.url, **CLIENT)
        env = OnThread(client) if self._in_threads else client
        claim = Claim("player", next(self._names), SEED)
        self.claims.append(claim)
        async with self._cutting(lane, "open", case):
            await env.connect()
        async with self._cutting(lane, "reset", case):
            claim.begun((await env.reset(seed=SEED, episode_id=claim.episode, length=1)).observation)
        claim.asked = 1
        async with self._cutting(lane, "step", case):
            result = await env.step({"number": NUMBER, "episode": claim.episode, "turn": 1})
        claim.stepped(1, NUMBER, 0, result.observation)
        assert (result.reward, result.done) == (1.0, True)
        claim.end(Ending.DONE)
        async with self._cutting(lane, "close", case):
            await env.close()
        await lane.aclose()
        return lane

    @asynccontextmanager
    async def _cutting(self, lane: Lane, operation: str, case: Case | None) -> AsyncIterator[None]:
        before = {way: self._passed(lane, way) for way in Direction}
        happened = len(lane.happened)
        expected = 0
        is_first = operation == "open" and self.has_handshake
        if case is not None and operation in case.cuts:
            faults = [Fault(Kind.RESET, case.direction, case.cuts[operation], past_handshake=is_first)]
            if case.again is not None:
                faults.append(Fault(Kind.RESET, *case.again))
            expected = len(faults)
            if operation != "open":
                lane.lay(faults.pop(0))
            lane.faults = Planned(faults)
        yield
        assert len(lane.happened) == happened + expected, f"{operation} was not cut as {case} says"
        for way in Direction:
            if case is None:
                self.sizes[operation, way] = self._passed(lane, way) - before[way]
            elif case.again is None and case.cuts == {operation: 0}:
                self.again.setdefault((operation, way), lane.passed_last[way])

    def _passed(self, lane: Lane, way: Direction) -> int:
        return lane.passed[way] - (lane.handshakes[way] if self.has_handshake else 0)

    async def all_of(self, cases: Iterator[Case]) -> None:
        """The sessions of all cases, some at the same time."""

        async def some() -> None:
            for case in cases:
                await self.session(case)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(PARALLEL):
                tasks.create_task(some())


class PlainPlay(Play):
    """The same by HTTP requests with a key, sent again until they are answered."""

    has_handshake = False

    async def session(self, case: Case | None = None) -> Lane:
        lane = await self.proxy.lane()
        player = Plain("player", lane, Book(), random.Random(secrets.randbits(64)), again_s=0.0)
        claim = Claim("player", next(self._names), SEED)
        self.claims.append(claim)
        begin = {"seed": SEED, "episode_id": claim.episode, "length": 1}
        take = {"action": {"number": NUMBER, "episode": claim.episode, "turn": 1}}
        async with httpx.AsyncClient(base_url=lane.url, timeout=60.0, trust_env=False, verify=False) as http:
            async with self._cutting(lane, "open", case):
                name = (await player.ask(http, "POST", "/sessions", {}))["session_id"]
            http.cookies.clear()
            headers = {"X-OpenEnv-Session": name}
            async with self._cutting(lane, "reset", case):
                claim.begun((await player.ask(http, "POST", "/reset", headers, begin))["observation"])
            claim.asked = 1
            async with self._cutting(lane, "step", case):
                claim.stepped(1, NUMBER, 0, (await player.ask(http, "POST", "/step", headers, take))["observation"])
            claim.end(Ending.DONE)
            async with self._cutting(lane, "close", case):
                await player.ask(http, "DELETE", f"/sessions/{name}", {})
        await lane.aclose()
        return lane


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server for many tests, and the ledger of its environments."""
    path = tmp_path_factory.mktemp("every_byte") / "ledger"
    app = create_app(lambda: Quick(str(path)), Add, Sum, max_concurrent_envs=64, lease_s=60.0)
    with served_by(app, getattr(request, "param", "auto")) as server:
        yield server.url, path


@asynccontextmanager
async def playing(served: tuple[str, Path], make: Callable[[Proxy], Play]) -> AsyncIterator[Play]:
    """Play sessions; at the end the ledger has to show that everything ran exactly once."""
    url, path = served
    done_before = path.stat().st_size if path.exists() else 0
    proxy = Proxy(int(url.rpartition(":")[2]))
    play = make(proxy)
    try:
        await play.measure()
        yield play
    finally:
        await proxy.aclose()
    part = path.with_name(f"part-{done_before}")
    part.write_bytes(path.read_bytes()[done_before:])
    verdict = Judge(play.claims).judge(read(part))
    assert verdict.differences == []
    assert verdict.steps == len(play.claims) == verdict.episodes


def offsets(play: Play, direction: Direction, stride: int = 1) -> Iterator[Case]:
    """Every byte of every operation in one direction; one session is cut in all four."""
    longest = max(play.sizes[operation, direction] for operation in OPERATIONS)
    for offset in range(0, longest + 1, stride):
        yield Case(direction, {one: offset for one in OPERATIONS if offset <= play.sizes[one, direction]})


@pytest.mark.parametrize("served", SHELLS, indirect=True)
@pytest.mark.parametrize("direction", Direction, ids=lambda one: one.name.lower())
@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_cut_after_every_byte(served: tuple[str, Path], encoding: str, direction: Direction) -> None:
    async with playing(served, lambda proxy: Play(proxy, encoding)) as play:
        await play.all_of(offsets(play, direction))


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_the_connection_that_resumes_is_cut_too(served: tuple[str, Path], encoding: str) -> None:
    """After every byte of handshake, greeting, resume and what is sent again; the first cut lost the answer."""
    async with playing(served, lambda proxy: Play(proxy, encoding)) as play:
        await play.all_of(second_cuts(play, stride=1 if encoding == "json" else 5, others_stride=13))


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_the_synchronous_client(served: tuple[str, Path], encoding: str) -> None:
    """A sample: it shares every decision with the asynchronous one."""
    async with playing(served, lambda proxy: Play(proxy, encoding, in_threads=True)) as play:
        for direction in Direction:
            await play.all_of(offsets(play, direction, stride=11))
        await play.all_of(second_cuts(play, stride=37, others_stride=89))


@pytest.mark.parametrize("direction", Direction, ids=lambda one: one.name.lower())
async def test_plain_http(served: tuple[str, Path], direction: Direction) -> None:
    """Of what comes back most is the same few headers, again and again; of what goes there, every byte is cut."""
    async with playing(served, PlainPlay) as play:
        await play.all_of(offsets(play, direction, stride=1 if direction is Direction.TO_SERVER else 7))


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_the_encoding_is_the_one_that_is_meant(served: tuple[str, Path], encoding: str) -> None:
    proxy = Proxy(int(served[0].rpartition(":")[2]))
    lane = await proxy.lane(hide=HIDING[encoding])
    async with connect(f"{lane.url.replace('http', 'ws')}/ws", subprotocols=SUBPROTOCOLS) as connection:
        assert connection.subprotocol == f"openenv.v2.{encoding}"
    await proxy.aclose()


def second_cuts(play: Play, stride: int, others_stride: int) -> Iterator[Case]:
    """An answer is lost, and every byte of the connection that follows is the next one to fail."""
    for (operation, direction), size in play.again.items():
        for offset in range(0, size + 1, stride if operation == "step" else others_stride):
            yield Case(TO_CLIENT, {operation: 0}, again=(direction, offset))
