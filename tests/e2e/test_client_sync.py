"""The synchronous client where others fail: in a running event loop, in threads; and what clients leave behind."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.unit.client.servers import WAIT_S, PlayAction, PlayClient, PlayObservation, play_server

from openenv import EnvPool, SyncEnvClient, SyncEnvPool
from openenv.errors import LocalProtocolError

pytestmark = pytest.mark.e2e

ROUNDS = 30


def test_it_makes_no_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    with play_server() as (server, _):

        def refuse() -> None:
            raise AssertionError("an event loop was made")

        monkeypatch.setattr(asyncio, "new_event_loop", refuse)
        monkeypatch.setattr(asyncio.events, "new_event_loop", refuse)
        with SyncEnvClient(PlayClient(server.url)) as env, PlayClient(server.url).sync() as other:
            assert isinstance(env.reset().observation, PlayObservation)
            assert isinstance(other.reset().observation, PlayObservation)
            assert other.state().instance != env.state().instance
        with pytest.raises(AssertionError):
            asyncio.Runner().get_loop()  # the trap works
        monkeypatch.undo()


async def test_it_works_inside_a_running_event_loop() -> None:
    with play_server() as (server, _), SyncEnvClient(server.url) as env:
        assert env.reset(seed=2).observation["text"] == "seed 2"
        assert env.step({"text": "hi"}).observation["text"] == "hi"


def test_one_client_per_thread() -> None:
    with play_server() as (server, ledger):

        def play(number: int) -> list[str]:
            with SyncEnvClient(PlayClient(server.url)) as env:
                env.reset()
                return [env.step(PlayAction(text=f"{number}.{turn}")).observation.text for turn in range(20)]

        with ThreadPoolExecutor(8) as pool:
            heard = list(pool.map(play, range(8)))
        assert heard == [[f"{number}.{turn}" for turn in range(20)] for number in range(8)]
        assert sorted(ledger.steps()) == sorted(list(range(1, 9)) * 20)


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/dev/fd"))


ATTENDANT = "openenv-pings"


def attendants() -> int:
    """How many threads answer pings."""
    return [thread.name for thread in threading.enumerate()].count(ATTENDANT)


def test_synchronous_clients_leave_nothing_behind() -> None:
    with play_server() as (server, ledger):

        def once(*, politely: bool) -> None:
            env = SyncEnvClient(PlayClient(server.url))
            env.reset()
            if not politely:
                with pytest.raises(TimeoutError):
                    env.step(PlayAction(do="wait"), timeout_s=0.001)
                ledger.gate.set()
            assert threading.active_count() >= before
            env.close()

        before = threading.active_count()
        once(politely=True)
        with SyncEnvClient(PlayClient(server.url)) as env:
            env.reset()
            assert attendants() == 1
            with SyncEnvClient(PlayClient(server.url)) as other:
                other.reset()
                assert attendants() == 1  # one thread for all connections
        files = open_files()
        for turn in range(ROUNDS):
            ledger.gate.clear()
            once(politely=turn % 3 > 0)
        for thread in threading.enumerate():
            if thread.name == ATTENDANT:
                thread.join(WAIT_S)
        assert attendants() == 0
        assert open_files() <= files + 3  # the server may still be closing its ends


async def test_asynchronous_clients_leave_nothing_behind() -> None:
    with play_server() as (server, ledger):

        async def once(*, politely: bool) -> None:
            env = PlayClient(server.url)
            await env.reset()
            if not politely:
                with pytest.raises(TimeoutError):
                    await env.step(PlayAction(do="wait"), timeout_s=0.001)
                ledger.gate.set()
            await env.close()

        await once(politely=True)
        tasks, threads, files = len(asyncio.all_tasks()), client_threads(), open_files()
        for turn in range(ROUNDS):
            ledger.gate.clear()
            await once(politely=turn % 3 > 0)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == tasks
        assert client_threads() == threads
        assert open_files() <= files + 3  # the server may still be closing its ends


def client_threads() -> set[str]:
    """Names of the threads that are not the server's."""
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith("openenv-")}


def refused_in_a_fork(calls: list[Callable[[], object]], close: Callable[[], object]) -> bool:
    """Whether a forked process is told of each call that it is not for it, and may close what is not its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads
        child = os.fork()
    if child == 0:
        status = 1
        try:
            for call in calls:
                with pytest.raises(LocalProtocolError, match="forked"):
                    call()
            close()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_session_belongs_to_the_process_that_opened_it() -> None:
    with play_server(max_concurrent_envs=4) as (server, ledger):
        with SyncEnvClient(server.url) as env, SyncEnvPool(server.url, sessions=2) as pool:
            env.reset()
            pool.reset()
            assert refused_in_a_fork([lambda: env.step({"text": "x"}), env.state, env.reset], env.close)
            assert refused_in_a_fork([lambda: pool.step([{}, {}]), pool.reset, pool.metrics], pool.close)
            assert env.step({"text": "mine"}).observation["text"] == "mine"
            assert pool.step([{"text": "a"}, {"text": "b"}]).observations["text"] == ["a", "b"]
        assert sorted(ledger.steps()) == [1, 2, 3]
        unused = SyncEnvClient(server.url)
        assert not refused_in_a_fork([unused.reset], unused.close), "one without a session is anybody's"


def test_a_session_outlives_an_event_loop() -> None:
    with play_server() as (server, ledger), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of connections that were open when their loop was closed
        env = PlayClient(server.url)
        asyncio.run(env.reset(seed=1))
        for number in range(3):
            assert asyncio.run(env.step(PlayAction(text=f"{number}"))).observation.text == f"{number}"
        asyncio.run(env.close())
        assert ledger.steps() == [1] * 3
        pool: EnvPool[Any, Any, Any] = EnvPool(server.url, sessions=1)
        asyncio.run(pool.connect())
        with pytest.raises(LocalProtocolError, match="another event loop"):
            asyncio.run(pool.reset())
        del pool, env
        gc.collect()
