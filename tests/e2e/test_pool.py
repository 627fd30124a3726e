"""Many sessions together, against live servers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.unit.client.servers import (
    WAIT_S,
    Ledger,
    PlayAction,
    PlayClient,
    PlayObservation,
    PlayState,
    Server,
    play_server,
)

import openenv
from openenv import EnvPool, SyncEnvPool
from openenv.errors import (
    ActionInvalid,
    CapacityReached,
    ConnectFailed,
    EpisodeDone,
    EpisodeLost,
    ExecutionFailed,
    LocalProtocolError,
    ResetNeeded,
    SessionClosed,
    StepTimeout,
)
from openenv.pool import PoolEvent

pytestmark = pytest.mark.e2e

Served = tuple[Server, Ledger]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with play_server(max_concurrent_envs=64) as found:
        yield found


async def test_steps_are_answered_in_the_order_they_were_asked(served: Served) -> None:
    async with EnvPool(served[0].url, sessions=20) as pool:
        assert len(pool) == 20
        observations, infos = await pool.reset(seed=100)
        assert observations["text"] == [f"seed {100 + n}" for n in range(20)]
        assert infos["seed"].tolist() == list(range(100, 120))
        actions = [
            {"text": f"{n}", "weights": np.full((2,), n, np.float32), "do": "end" if n % 2 else "go"} for n in range(20)
        ]
        observations, rewards, terminated, truncated, _ = await pool.step(actions)
        assert observations["text"] == [f"{n}" for n in range(20)]
        assert observations["grid"].dtype == np.float32
        assert observations["grid"].tolist() == [[2 * n, 2 * n] for n in range(20)]
        assert rewards.tolist() == [1.0] * 20
        assert terminated.tolist() == [bool(n % 2) for n in range(20)]
        assert not truncated.any()
        again = await pool.reset([7, 8], indices=[3, 1], options={"level": 5})
        assert (again.indices, again.observations["text"], again.observations["level"].tolist()) == (
            [3, 1], ["seed 7", "seed 8"], [5.0, 5.0],
        )  # fmt: skip
        some = await pool.step({1: {"text": "one"}, 0: {"text": "zero"}})
        assert (some.indices, some.observations["text"]) == ([1, 0], ["one", "zero"])
        masked = await pool.step([{"text": "x"}], indices=np.arange(20) == 3)
        assert masked.indices == [3]
        assert pool.metrics().steps == 23
        assert pool.metrics().sessions == 20
    assert pool.metrics().sessions == pool.metrics().in_flight == 0


async def test_types_are_those_of_the_client(served: Served) -> None:
    async with EnvPool(served[0].url, sessions=2, client=PlayClient) as pool:
        await pool.reset(seed=1)
        result = await pool.step([PlayAction(text="a"), PlayAction(text="b")])
        assert isinstance(result.results[0].observation, PlayObservation)
        assert result.observations["text"] == ["a", "b"]
        assert all(isinstance(state, PlayState) for state in await pool.states())


async def test_errors_of_some_do_not_lose_the_others(served: Served) -> None:
    actions: list[Any] = [{"do": "crash"}, {"text": "fine"}, {"unknown": 1}, {"weights": object()}]
    async with EnvPool(served[0].url, sessions=4, on_error="return") as pool:
        untouched = await pool.step(actions)
        assert {type(error) for error in untouched.errors} == {ResetNeeded}
        await pool.reset()
        result = await pool.step(actions)
        assert [type(error) for error in result.errors] == [ExecutionFailed, type(None), ActionInvalid, ActionInvalid]
        assert result.failed == [0, 2, 3]
        assert result.results[1].observation["text"] == "fine"
        assert pool.metrics().errors == 3 + 0
    async with EnvPool(served[0].url, sessions=4) as pool:
        await pool.reset()
        with pytest.raises(ExecutionFailed, match="3 of 4 sessions failed; session 0") as caught:
            await pool.step(actions)
        assert [one["index"] for one in caught.value.details["failed"]] == [0, 2, 3]
        assert pool.last is not None
        assert pool.last.results[1].observation["text"] == "fine"


async def test_answers_as_they_come_and_sessions_asked_again_meanwhile(served: Served) -> None:
    server, ledger = served
    ledger.gate.clear()
    async with EnvPool(server.url, sessions=3) as pool:
        await pool.reset()
        came = []
        async for index, result in pool.as_completed([{"do": "wait"}, {"text": "a"}, {"text": "b"}]):
            came.append((index, result.observation["text"]))
            if index == 1:
                more = await pool.step({1: {"text": "again"}})
                assert more.observations["text"] == ["again"]
                with pytest.raises(LocalProtocolError, match="session 0 waits"):
                    await pool.step([{}], indices=[0])
            if len(came) == 2:
                ledger.gate.set()
        assert sorted(came[:2]) == [(1, "a"), (2, "b")]
        assert came[2] == (0, "")


@pytest.mark.parametrize("prefetch", [False, True])
async def test_autoreset_next_step(served: Served, *, prefetch: bool) -> None:
    server, ledger = served
    async with EnvPool(server.url, sessions=2, autoreset="next_step", prefetch_resets=prefetch) as pool:
        await pool.reset(seed=1, options={"level": 3})
        ended = await pool.step([{"do": "end", "text": "last"}, {}])
        assert ended.dones.tolist() == [True, False]
        assert ended.observations["text"][0] == "last"
        steps = len(ledger.steps())
        fresh = await pool.step([{"text": "not used"}, {"text": "used"}])
        assert fresh.observations["text"][1] == "used"
        assert fresh.observations["text"][0].startswith("seed ")
        assert fresh.observations["level"].tolist() == [3.0, 0.0], "the options of the last reset"
        assert fresh.rewards.tolist() == [0.0, 1.0]
        assert not fresh.dones.any()
        assert len(ledger.steps()) == steps + 1
        assert (await pool.step([{"text": "now"}, {}])).observations["text"][0] == "now"
        assert pool.metrics().resets == 3


async def test_autoreset_same_step(served: Served) -> None:
    async with EnvPool(served[0].url, sessions=2, autoreset="same_step") as pool:
        await pool.reset(seed=1)
        observations, rewards, terminated, _, infos = await pool.step([{"do": "end", "text": "last"}, {"text": "x"}])
        assert observations["text"][0].startswith("seed ")
        assert (rewards.tolist(), terminated.tolist()) == ([1.0, 1.0], [True, False])
        assert infos["final_obs"][0]["text"] == "last"
        assert infos["_final_obs"].tolist() == [True, False]
        assert (await pool.step([{"text": "next"}, {}])).observations["text"][0] == "next"


async def test_a_prefetched_reset_is_there_when_it_is_asked_for(served: Served) -> None:
    server, ledger = served
    async with EnvPool(server.url, sessions=2, prefetch_resets=True) as pool:
        await pool.reset(seed=1)
        await pool.step([{"do": "end"}] * 2)
        with pytest.raises(EpisodeDone):
            await pool.step([{}, {}])  # the next ones have begun by now
        assert pool.metrics().resets == 4
        resets = sum(what == "reset" for _, what in ledger.calls)
        begun = await pool.reset(indices=[0])
        assert sum(what == "reset" for _, what in ledger.calls) == resets
        assert "seed" in begun.infos
        other = await pool.reset(seed=41, indices=[1])
        assert other.observations["text"] == ["seed 42"], "one with a seed is begun anew"
        assert (await pool.step([{"text": "a"}, {"text": "b"}])).observations["text"] == ["a", "b"]


async def test_a_group_begins_alike_where_no_episode_runs(served: Served) -> None:
    async with EnvPool(served[0].url, sessions=6) as pool:
        await pool.reset(seed=1, indices=[0, 3])
        group = await pool.reset_group(77, 4)
        assert group.indices == [1, 2, 4, 5]
        assert group.observations["text"] == ["seed 77"] * 4
        with pytest.raises(LocalProtocolError, match="0 of 6 are free"):
            await pool.reset_group(78, 1)
        await pool.step({4: {"do": "end"}})
        assert (await pool.reset_group(78, 1)).indices == [4]


async def test_a_step_that_takes_too_long_loses_its_episode_alone(served: Served) -> None:
    server, ledger = served
    ledger.gate.clear()
    async with EnvPool(server.url, sessions=2, on_error="return") as pool:
        await pool.reset()
        result = await pool.step([{"do": "wait"}, {"text": "x"}], timeout_s=0.2)
        assert isinstance(result.errors[0], StepTimeout)
        assert result.results[1].observation["text"] == "x"
        ledger.gate.set()
        after = await pool.step([{}, {}])
        assert [type(error) for error in after.errors] == [EpisodeLost, type(None)]
        assert after.truncated.tolist() == [True, False]
        again = await pool.reset(indices=[0])
        assert again.errors == [None]
        assert pool.metrics().lost == 1


async def test_a_pool_keeps_time_itself_and_loses_what_is_cancelled(served: Served) -> None:
    server, ledger = served
    ledger.gate.clear()
    ledger.entered.clear()
    async with EnvPool(server.url, sessions=3, on_error="return", message_timeout_s=0.2) as pool:
        await pool.reset()
        result = await pool.step([{"do": "wait"}, {"text": "x"}, {"text": "y"}])
        assert (type(result.errors[0]), result.errors[0].details) == (EpisodeLost, {"reason": "timeout"})
        assert result.observations["text"] == [None, "x", "y"]
    options: dict[str, Any] = {"autoreset": "same_step", "prefetch_resets": True, "message_timeout_s": 0.2}
    async with EnvPool(server.url, sessions=1, on_error="return", **options) as pool:
        await pool.reset()
        result = await pool.step([{"do": "wait"}])
        assert isinstance(result.errors[0], EpisodeLost), "nobody waits for another reset"
        assert (result.results, pool.metrics().resets) == ([None], 1)
    async with EnvPool(server.url, sessions=2, on_error="return") as pool:
        await pool.reset()
        ledger.entered.clear()
        stepping = asyncio.create_task(pool.step([{"do": "wait"}, {"text": "x"}]))
        await asyncio.to_thread(ledger.entered.wait, WAIT_S)
        stepping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stepping
        ledger.gate.set()
        after = await pool.step([{}, {"text": "y"}])
        assert after.errors[0] is not None
        assert after.errors[0].details == {"reason": "cancelled"}
        assert (await pool.reset(indices=[0])).errors == [None]


async def test_what_finds_no_place_waits_for_one() -> None:
    with play_server(max_concurrent_envs=2) as (server, _):
        events: list[PoolEvent] = []
        queued = asyncio.Event()

        def note(event: PoolEvent) -> None:
            events.append(event)
            if event.kind == "queued":
                queued.set()

        async with (
            EnvPool(server.url, sessions=2) as first,
            EnvPool(server.url, sessions=2, on_progress=note) as second,
        ):
            await first.reset()
            waiting = asyncio.create_task(second.reset(seed=1))
            await queued.wait()
            await first.close()
            assert (await waiting).observations["text"] == ["seed 1", "seed 2"]
        assert [event.number for event in events if event.kind == "answered"] == [1, 2]
        async with EnvPool(server.url, sessions=3, queue_timeout_s=0.1, on_error="return") as pool:
            result = await pool.reset()
            assert [type(error) for error in result.errors].count(CapacityReached) == 1


async def test_sessions_go_where_there_is_most_room() -> None:
    with play_server(max_concurrent_envs=4) as (small, few), play_server(max_concurrent_envs=12) as (large, many):
        async with EnvPool(small.url, large.url, sessions=8, connections=2) as pool:
            await pool.reset()
            assert (few.built, many.built) == (2, 6)


async def test_a_pool_without_a_server_says_so_and_close_ends_what_waits(served: Served) -> None:
    with pytest.raises(ConnectFailed, match="nothing listens"):
        await EnvPool("http://127.0.0.1:1", sessions=1).connect()
    threads = threading.active_count()
    with pytest.raises(ConnectFailed), SyncEnvPool("http://127.0.0.1:1", sessions=1):
        pass
    assert threading.active_count() == threads
    server, ledger = served
    ledger.gate.clear()
    ledger.entered.clear()
    closed = sum(what == "close" for _, what in ledger.calls)
    pool = EnvPool("http://127.0.0.1:1", server.url, sessions=2, on_error="return")
    await pool.reset()
    stepping = asyncio.create_task(pool.step([{"do": "wait"}, {"do": "wait"}]))
    await asyncio.to_thread(ledger.entered.wait, WAIT_S)
    closing = asyncio.create_task(pool.close())
    result = await stepping
    assert {type(error) for error in result.errors} == {SessionClosed}
    ledger.gate.set()
    await closing
    assert sum(what == "close" for _, what in ledger.calls) == closed + 2
    with pytest.raises(SessionClosed):
        await pool.step([{}, {}])


async def test_the_first_calls_may_overlap_and_a_hook_that_fails_harms_nobody(served: Served) -> None:
    def fail(event: PoolEvent) -> None:
        raise RuntimeError(event.kind)

    pool: EnvPool[Any, Any, Any] = EnvPool(served[0].url, sessions=2, on_progress=fail)
    one, two = await asyncio.gather(pool.reset(seed=1, indices=[0]), pool.reset(seed=1, indices=[1]))
    assert (one.observations["text"], two.observations["text"]) == (["seed 1"], ["seed 2"])
    await pool.close()


def test_a_synchronous_pool(served: Served) -> None:
    server, ledger = served
    before = threading.active_count()
    with SyncEnvPool(server.url, sessions=3) as pool:
        assert threading.active_count() == before + 1
        observations, _ = pool.reset(seed=1)
        assert observations["text"] == ["seed 1", "seed 2", "seed 3"]
        came = dict(pool.as_completed([{"text": "a"}, {"text": "b"}, {"text": "c"}]))
        assert [came[n].observation["text"] for n in range(3)] == ["a", "b", "c"]
        with pytest.raises(ExecutionFailed):
            list(pool.as_completed([{"do": "crash"}, {}, {}]))
        assert len(pool.states()) == 3
        assert pool.metrics().steps == 5
        ledger.gate.clear()
        for _, result in pool.as_completed([{"do": "wait"}, {"text": "b"}, {"text": "c"}]):
            assert result.observation["text"] in ("b", "c")
            break  # the others are given up
        ledger.gate.set()
        with pytest.raises(EpisodeLost):
            pool.step([{}, {}, {}])
        assert pool.last is not None
    pool.close()
    assert threading.active_count() == before
    with pytest.raises(SessionClosed):
        pool.reset()


def test_a_pool_takes_over_what_make_started() -> None:
    client = openenv.make("blackjack", max_sessions=3)
    server = client.options.owned
    assert server is not None
    with SyncEnvPool(client, sessions=3) as pool:
        pool.reset(seed=7)
        assert pool.step([{"move": "stick"}] * 3).dones.all()
    assert server.ended  # type: ignore[attr-defined]
