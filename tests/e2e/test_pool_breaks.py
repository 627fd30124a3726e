"""Pools whose connections and servers break: an episode goes on or is said to be lost, and the others go on."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.e2e.cutting_proxy import cutting
from tests.soak.proxy import Proxy
from tests.unit.client.raw_servers import raw_server
from tests.unit.client.servers import Ledger, play_server
from tests.unit.client.wire import wire_to
from websockets.sync.server import ServerConnection

from openenv import EnvClient, EnvPool, SyncEnvPool
from openenv.client import trunk
from openenv.errors import CapacityReached, ConnectFailed, EpisodeLost, LocalProtocolError, SessionClosed
from openenv.pool import PoolEvent

pytestmark = pytest.mark.e2e


def texts(result: Any) -> list[str]:
    return list(result.observations["text"])


def calls_of_each(ledger: Ledger) -> list[list[str]]:
    """What each environment was asked, in order."""
    return [[what for who, what in ledger.calls if who == one] for one in range(1, ledger.built + 1)]


class Away:
    """Tells when a pool says that a server is gone or back."""

    def __init__(self) -> None:
        self.gone, self.back = asyncio.Event(), asyncio.Event()

    def __call__(self, event: PoolEvent) -> None:
        if event.kind == "endpoint_lost":
            self.gone.set()
        elif event.kind == "endpoint_back":
            self.back.set()


def until_refused(pool: SyncEnvPool[Any, Any, Any]) -> None:
    """Wait until something was asked and answered, so that who asked waits to ask again."""
    for is_asking in (True, False):
        while pool.metrics().in_flight != is_asking:
            pass


async def play(pool: EnvPool[Any, Any, Any], steps: int) -> None:
    assert texts(await pool.reset(seed=10)) == [f"seed {10 + n}" for n in range(len(pool))]
    for step in range(steps):
        wanted = [f"{step} {n}" for n in range(len(pool))]
        assert texts(await pool.step([{"text": text} for text in wanted])) == wanted


async def test_wherever_the_connection_is_cut_nothing_is_lost_or_runs_twice() -> None:
    # sizes of what passes: opens and resets about 1500 bytes, answers about as many, a batch of steps about 1000
    cuts = [(up, after) for up in (True, False) for after in (3, 700, 1900, 3000, 4200)]
    with play_server(max_concurrent_envs=200) as (server, ledger), cutting(server.url, cuts) as proxies:
        for proxy in proxies:
            before = ledger.built
            async with EnvPool(proxy.url, sessions=12, liveness_timeout_s=2.0) as pool:
                await play(pool, 3)
                metrics = pool.metrics()
                assert (metrics.errors, metrics.lost) == (0, 0)
                assert metrics.reconnects == proxy.connections - 1
            asked = calls_of_each(ledger)[before:]
            assert asked == [["reset", "step", "step", "step", "close"]] * 12, (proxy.up, proxy.after)
        assert sum(proxy.connections == 2 for proxy in proxies) >= 8, "the cuts must hit"


async def test_a_silent_line_is_left_for_another() -> None:
    with play_server(max_concurrent_envs=8) as (server, ledger), wire_to(server) as wire:
        async with EnvPool(wire.url, sessions=3, liveness_timeout_s=0.1) as pool:
            await play(pool, 1)
            wire.swallow()
            assert texts(await pool.step([{"text": "x"}] * 3)) == ["x"] * 3
            assert wire.connections == 2
        assert [one.count("step") for one in calls_of_each(ledger)] == [2] * 3


async def test_an_idle_pool_outlives_a_server_that_is_away_for_longer_than_its_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rests = asyncio.Event()

    def note(told: str, *_: Any) -> None:
        if "when something is asked" in told:
            rests.set()

    monkeypatch.setattr(trunk.log, "info", note)
    with play_server(max_concurrent_envs=8) as (server, _):
        proxy = Proxy(server.port)
        lane = await proxy.lane()
        async with EnvPool(lane.url, sessions=3, reconnect_timeout_s=0.05) as pool:
            await play(pool, 1)
            lane.refuses = True
            lane.drop()
            await rests.wait()
            lane.refuses = False
            assert texts(await pool.step([{"text": "x"}] * 3)) == ["x"] * 3
        await proxy.aclose()


async def test_sessions_of_a_dead_server_begin_elsewhere_and_return_when_it_is_back() -> None:
    with play_server(max_concurrent_envs=8) as (first, one), play_server(max_concurrent_envs=8) as (second, two):
        away = Away()
        pool = EnvPool(first.url, second.url, sessions=4, reconnect_timeout_s=0.1, on_error="return", on_progress=away)
        async with pool:
            await play(pool, 1)
            assert (one.built, two.built) == (2, 2)
            await asyncio.to_thread(first.stop)
            result = await pool.step([{"text": "x"}] * 4)
            lost = [index for index, error in enumerate(result.errors) if isinstance(error, EpisodeLost)]
            assert len(lost) == 2
            assert [result.results[index].observation["text"] for index in range(4) if index not in lost] == ["x", "x"]
            await away.gone.wait()
            again = await pool.step([{}] * 4)
            assert [isinstance(error, EpisodeLost) for error in again.errors] == [index in lost for index in range(4)]
            begun = await pool.reset(seed=20, indices=lost)
            assert begun.errors == [None, None]
            assert (one.built, two.built) == (2, 4)
            assert texts(await pool.step([{"text": "y"}] * 4)) == ["y"] * 4
            assert pool.metrics().lost == 2
            first.start()
            await away.back.wait()
            await pool.reset()
            assert (one.built, two.built) == (4, 4), "half of them go back"
            assert texts(await pool.step([{"text": "z"}] * 4)) == ["z"] * 4
            await pool.reset()
            assert (one.built, two.built) == (4, 4), "and stay"


async def test_with_autoreset_lost_episodes_are_followed_by_others() -> None:
    for mode in ("next_step", "same_step"):
        with play_server(max_concurrent_envs=8) as (server, ledger):
            options: dict[str, Any] = {"autoreset": mode, "on_error": "return"}
            async with EnvPool(server.url, sessions=2, reconnect_timeout_s=5, **options) as pool:
                await play(pool, 1)
                await asyncio.to_thread(server.stop)
                server.start()  # it knows nothing of them
                ended = await pool.step([{"text": "x"}] * 2)
                assert [type(error) for error in ended.errors] == [EpisodeLost] * 2
                assert ended.truncated.all()
                if mode == "same_step":
                    assert all(text.startswith("seed") for text in texts(ended))
                else:
                    assert all(text.startswith("seed") for text in texts(await pool.step([{"text": "not used"}] * 2)))
                assert texts(await pool.step([{"text": "y"}] * 2)) == ["y"] * 2
                assert ledger.built == 4
                await asyncio.to_thread(server.stop)
                server.start()
                came = [one async for one in pool.as_completed([{"text": "x"}] * 2)]
                for index in range(2):
                    error, *first = [answer for whose, answer in came if whose == index]
                    assert isinstance(error, EpisodeLost)
                    assert [one.observation["text"][:4] for one in first] == ["seed"] * (mode == "same_step")


async def test_an_answer_too_large_loses_its_episode_alone() -> None:
    with play_server(max_concurrent_envs=8) as (server, _):
        async with EnvPool(server.url, sessions=4, max_message_bytes=20_000, on_error="return") as pool:
            await pool.reset()
            actions = [{"text": "a"}, {"text": "b" * 30_000}, {"text": "c"}, {"text": "d"}]
            result = await pool.step(actions)
            assert result.errors[1] is not None
            assert result.errors[1].details == {"reason": "message_too_large"}
            assert [result.errors[n] for n in (0, 2, 3)] == [None] * 3
            assert [texts(result)[n] for n in (0, 2, 3)] == ["a", "c", "d"]
            assert (await pool.reset(indices=[1])).errors == [None]


async def test_a_server_of_protocol_v1_has_a_connection_for_each_session() -> None:
    with play_server(max_concurrent_envs=3) as (server, ledger):
        proxy = Proxy(server.port)
        lane = await proxy.lane(hide=(b"openenv.v2", b"nothing.v9"))
        async with EnvPool(lane.url, sessions=3, on_error="return") as pool:
            await play(pool, 2)
            refused = await pool.step([{"text": "x"}, {"no": "such"}, {"text": "z"}])
            assert [error is None for error in refused.errors] == [True, False, True]
            assert len(await pool.states()) == 3
            async with EnvPool(lane.url, sessions=1, queue_timeout_s=0.1) as another:
                with pytest.raises(CapacityReached):
                    await another.reset()
            lane.drop()
            assert {type(error) for error in (await pool.step([{}] * 3)).errors} == {EpisodeLost}
            assert (await pool.reset()).errors == [None] * 3
        await proxy.aclose()
    assert sum(what == "close" for _, what in ledger.calls) == ledger.built


async def test_who_waits_for_a_place_is_told_that_the_pool_was_closed() -> None:
    with play_server(max_concurrent_envs=1) as (server, _):
        proxy = Proxy(server.port)
        lane = await proxy.lane(hide=(b"openenv.v2", b"nothing.v9"))  # such a server has no queue
        pool = SyncEnvPool(lane.url, sessions=2)
        await asyncio.to_thread(pool.reset, indices=[0])
        waiting = asyncio.create_task(asyncio.to_thread(pool.reset, indices=[1]))
        await asyncio.to_thread(until_refused, pool)
        await asyncio.gather(asyncio.to_thread(pool.close), asyncio.to_thread(pool.close))
        with pytest.raises(SessionClosed):
            await waiting
        await proxy.aclose()


async def test_a_hook_that_fails_harms_no_session() -> None:
    def fail(position: int) -> None:
        raise RuntimeError(position)

    with play_server(max_concurrent_envs=1) as (server, _):
        client = EnvClient[Any, Any, Any](server.url, on_queued=fail)
        async with EnvPool(client, sessions=2, queue_timeout_s=0.1, on_error="return") as pool:
            assert sorted(type(error) for error in (await pool.reset()).errors if error) == [CapacityReached]


async def test_a_server_that_cannot_resume_loses_episodes_with_the_connection() -> None:
    connections: list[ServerConnection] = []

    def plain(connection: ServerConnection) -> None:
        connections.append(connection)
        limits = {"max_message_bytes": 1 << 20, "capacity": 2}
        hello = {"protocol": "openenv.v2", "library": "9", "environment": "raw", "environment_version": None}
        connection.send(json.dumps({"type": "hello", **hello, "features": [], "limits": limits}))
        for frame in connection:
            asked = json.loads(frame)
            assert isinstance(asked, dict), "it did not say that it knows batches"
            if asked["type"] == "open":
                connection.send(
                    json.dumps({"type": "opened", "session": asked["nonce"], "nonce": asked["nonce"], "token": "t"})
                )
            elif asked.get("action") == {"cut": 1}:
                connection.close(1011)
            elif asked["type"] != "close":
                told = {"session": asked["session"], "id": asked["id"], "observation": {"text": asked["type"]}}
                connection.send(json.dumps({"type": "observation", **told}))

    with raw_server(plain, subprotocols=["openenv.v2.json"]) as url:  # type: ignore[list-item]
        async with EnvPool(url, sessions=2, on_error="return", connect_timeout_s=0.5) as pool:
            assert texts(await pool.reset()) == ["reset", "reset"]
            result = await pool.step([{"go": 1}, {"cut": 1}])
            assert isinstance(result.errors[1], EpisodeLost)
            assert result.errors[1].details == {"reason": "connection_lost"}
            assert (await pool.reset(indices=[0, 1])).errors == [None, None]
            assert len(connections) >= 2


async def test_a_server_that_is_gone_for_good_is_said_to_be() -> None:
    with play_server(max_concurrent_envs=8) as (server, _):
        async with EnvPool(server.url, sessions=2, reconnect_timeout_s=0.1, on_error="return") as pool:
            await play(pool, 1)
            await asyncio.to_thread(server.stop)
            assert {type(error) for error in (await pool.step([{}, {}])).errors} == {EpisodeLost}
            assert {type(error) for error in (await pool.reset()).errors} == {ConnectFailed}
            with pytest.raises(LocalProtocolError):
                await pool.step([{}])
            server.start()
            assert (await pool.reset()).errors == [None, None], "it is tried though it was gone a moment ago"
            assert texts(await pool.step([{"text": "x"}] * 2)) == ["x"] * 2
            await asyncio.to_thread(server.stop)
            told = await pool.reset()
            assert {type(error) for error in told.errors} == {ConnectFailed}, (
                "what was lost is begun anew, and that told"
            )
            server.start()
            assert (await pool.reset()).errors == [None, None]
