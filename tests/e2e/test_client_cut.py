"""A connection that breaks, at chosen moments: an episode goes on or is said to be lost."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from typing import Any

import pytest
from tests.unit.client.servers import (
    KINDS,
    WAIT_S,
    LenientPlay,
    PlayAction,
    PlayClient,
    in_background,
    play_server,
    playing,
)
from tests.unit.client.wire import wire_to

from openenv import SyncEnvClient
from openenv.errors import ConnectFailed, ConnectionLost, EpisodeLost, RequestTimeout, StepTimeout, TransportError

pytestmark = pytest.mark.e2e


def refuses_until_reset(env: Any, reason: str) -> None:
    """Every call but reset says that the episode was lost, and why."""
    for call in (env.state, lambda: env.step(PlayAction()), env.state):
        with pytest.raises(EpisodeLost) as caught:
            call()
        assert caught.value.details == {"reason": reason}
        assert "reset()" in caught.value.message


@pytest.mark.parametrize("kind", KINDS)
def test_cut_in_a_step(kind: str) -> None:
    # lenient: on a fresh environment of this kind a step would just run
    with (
        play_server(LenientPlay) as (server, ledger),
        wire_to(server) as wire,
        playing(kind, wire.url, reconnect_timeout_s=0) as env,
    ):
        env.reset()
        waiting = in_background(lambda: env.step(PlayAction(do="wait")))
        assert ledger.entered.wait(WAIT_S)
        wire.cut()
        with pytest.raises(EpisodeLost) as caught:
            waiting.result(WAIT_S)
        assert caught.value.details == {"reason": "connection_lost"}
        refuses_until_reset(env, "connection_lost")
        assert ledger.steps() == [1]
        assert ledger.built == 1
        env.reset()
        env.step(PlayAction())
        assert ledger.steps() == [1, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_cut_between_two_steps(kind: str) -> None:
    with (
        play_server(LenientPlay) as (server, ledger),
        wire_to(server) as wire,
        playing(kind, wire.url, reconnect_timeout_s=0) as env,
    ):
        env.reset()
        env.step(PlayAction())
        wire.cut()
        refuses_until_reset(env, "connection_lost")
        env.connect()
        with pytest.raises(EpisodeLost):
            env.step(PlayAction())
        env.reset()
        env.step(PlayAction())
        assert ledger.steps() == [1, ledger.built]


@pytest.mark.parametrize("kind", KINDS)
def test_cut_before_a_reset(kind: str) -> None:
    with (
        play_server() as (server, ledger),
        wire_to(server) as wire,
        playing(kind, wire.url, reconnect_timeout_s=0) as env,
    ):
        env.connect()
        wire.cut()
        assert env.reset().done is False
        env.step(PlayAction(do="end"))
        wire.cut()
        assert env.reset().done is False  # the running episode is given up anyway
        assert env.state().instance == ledger.built == 3


@pytest.mark.parametrize("kind", KINDS)
def test_cut_in_a_reset(kind: str) -> None:
    with (
        play_server(LenientPlay) as (server, ledger),
        wire_to(server) as wire,
        playing(kind, wire.url, reconnect_timeout_s=0) as env,
    ):
        wire.cut_when = lambda data: b"observation" in data
        with pytest.raises(ConnectionLost):
            env.reset()
        refuses_until_reset(env, "connection_lost")  # whether it had begun nobody knows
        with pytest.raises(ConnectionLost):
            env.reset()
        assert ledger.steps() == []
        wire.cut_when = lambda data: False
        env.reset()
        env.step(PlayAction())
        assert ledger.steps() == [ledger.built]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("moment", ["hello", "opened", "101 Switching"])
def test_cut_while_connecting(kind: str, moment: str) -> None:
    with play_server() as (server, _), wire_to(server) as wire, playing(kind, wire.url, reconnect_timeout_s=0) as env:
        wire.cut_when = lambda data: moment.encode() in data
        for call in (env.connect, env.reset, env.state):
            with pytest.raises(ConnectFailed):
                call()
        wire.cut_when = lambda data: False
        assert env.reset().done is False


@pytest.mark.parametrize("kind", KINDS)
def test_cut_while_connecting_after_a_loss(kind: str) -> None:
    with play_server() as (server, _), wire_to(server) as wire, playing(kind, wire.url, reconnect_timeout_s=0) as env:
        env.reset()
        wire.cut()
        refuses_until_reset(env, "connection_lost")
        wire.cut_when = lambda data: b"opened" in data
        with pytest.raises(ConnectFailed):
            env.reset()
        refuses_until_reset(env, "connection_lost")


@pytest.mark.parametrize("kind", KINDS)
def test_cut_while_closing(kind: str) -> None:
    with (
        play_server() as (server, ledger),
        wire_to(server) as wire,
        playing(kind, wire.url, reconnect_timeout_s=0) as env,
    ):
        env.reset()
        wire.cut_when = lambda data: b"closed" in data
        env.close()
        assert [what for _, what in ledger.calls] == ["reset", "close"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_goes_and_comes_back(kind: str) -> None:
    with play_server() as (server, ledger), playing(kind, server.url, reconnect_timeout_s=0) as env:
        env.reset()
        server.stop()
        with pytest.raises(EpisodeLost) as caught:
            env.step(PlayAction())
        assert caught.value.details == {"reason": "server_stopped"}
        refuses_until_reset(env, "server_stopped")
        with pytest.raises(ConnectFailed, match="nothing listens"):
            env.reset()
        refuses_until_reset(env, "server_stopped")
        server.start()
        env.reset()
        env.step(PlayAction(text="back"))
        assert ledger.steps() == [2]


@pytest.mark.parametrize("kind", KINDS)
def test_no_answer_in_time(kind: str) -> None:
    with play_server() as (server, ledger), playing(kind, server.url, reconnect_timeout_s=0) as env:
        env.reset()
        with pytest.raises(StepTimeout) as caught:
            env.step(PlayAction(do="wait", text="late"), timeout_s=0.05)
        assert caught.value.details == {"timeout_s": 0.05, "usable": False}
        ledger.gate.set()  # now it answers
        refuses_until_reset(env, "stuck")
        env.reset()
        assert env.step(PlayAction(text="mine")).observation.text == "mine"


@pytest.mark.parametrize("kind", KINDS)
def test_no_answer_to_a_reset_in_time(kind: str) -> None:
    with play_server() as (server, ledger), playing(kind, server.url, message_timeout_s=0.3) as env:
        with pytest.raises(RequestTimeout):
            env.reset(do="wait")
        refuses_until_reset(env, "timeout")
        ledger.gate.set()
        assert env.reset().done is False


@pytest.mark.parametrize("kind", KINDS)
def test_a_greeting_that_does_not_come(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with playing(kind, url, connect_timeout_s=0.05) as env, pytest.raises(TransportError, match=r"within 0\.05 s"):
            env.reset()


async def test_a_cancelled_step() -> None:
    with play_server() as (server, ledger):
        async with PlayClient(server.url) as env:
            await env.reset()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(env.step(PlayAction(do="wait", text="late")), 0.05)
            ledger.gate.set()
            for _ in range(2):
                with pytest.raises(EpisodeLost) as caught:
                    await env.step(PlayAction())
                assert caught.value.details == {"reason": "cancelled"}
            await env.reset()
            assert (await env.step(PlayAction(text="mine"))).observation.text == "mine"


async def test_a_cancelled_connect() -> None:
    with play_server() as (server, ledger):
        env = PlayClient(server.url)
        for turns in range(40):  # cancelled a little later each time: in the handshake, the greeting, the opening
            task = asyncio.create_task(env.connect())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await env.close()
        await env.reset()
        assert (await env.state()).instance == ledger.built
        await env.close()


def test_ctrl_c_in_a_step() -> None:
    with play_server() as (server, ledger), SyncEnvClient(PlayClient(server.url)) as env:
        env.reset()

        def press() -> None:
            assert ledger.entered.wait(WAIT_S)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        pressing = in_background(press)
        with pytest.raises(KeyboardInterrupt):
            env.step(PlayAction(do="wait", text="late"))
        pressing.result(WAIT_S)
        ledger.gate.set()
        refuses_until_reset(env, "cancelled")
        env.reset()
        assert env.step(PlayAction(text="mine")).observation.text == "mine"


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_too_large_for_the_client(kind: str) -> None:
    with play_server() as (server, _), playing(kind, server.url, max_message_bytes=2000) as env:
        env.reset()
        with pytest.raises(EpisodeLost, match="message too big") as caught:
            env.step(PlayAction(text="x" * 2000))
        assert caught.value.details == {"reason": "message_too_large"}
        refuses_until_reset(env, "message_too_large")
