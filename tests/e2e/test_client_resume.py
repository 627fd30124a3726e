"""A connection that breaks under a session that outlives it: the episode goes on, and nothing runs twice."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import pytest
from tests.unit.client.servers import (
    KINDS,
    WAIT_S,
    PlayAction,
    PlayClient,
    in_background,
    play_server,
    playing,
)
from tests.unit.client.wire import Wire, wire_to

from openenv import SyncEnvClient
from openenv.errors import EpisodeLost, SessionClosed, StepTimeout

pytestmark = pytest.mark.e2e


def cut_at(wire: Wire, *markers: bytes) -> None:
    """Cut the wire once at each of these in what the server sends, one after another; it does not arrive."""
    left = list(markers)

    def when(data: bytes) -> bool:
        return bool(left) and left[0] in data and left.pop(0) is not None

    wire.cut_when = when


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("markers", "connections"),
    [
        ([b"hello"], 2),
        ([b"opened"], 2),
        ([b"observation"], 2),
        ([b"observation", b"resumed"], 3),
        ([b"observation", b"hello", b"resumed", b"observation"], 5),
        ([b"hello", b"101 Switching", b"opened", b"opened", b"observation", b"observation"], 7),
    ],
)
def test_breaks_change_nothing(kind: str, markers: list[bytes], connections: int) -> None:
    with play_server() as (server, ledger), wire_to(server) as wire, playing(kind, wire.url) as env:
        cut_at(wire, *markers)
        assert env.reset(seed=4).observation.text == "seed 4"
        assert [env.step(PlayAction(text=text)).observation.text for text in "abc"] == ["a", "b", "c"]
        assert env.state().instance == ledger.built == 1
        env.close()
        assert [what for _, what in ledger.calls] == ["reset", "step", "step", "step", "close"]
        assert wire.connections == connections


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_goes_on_while_the_line_is_cut(kind: str) -> None:
    with play_server() as (server, ledger), wire_to(server) as wire, playing(kind, wire.url) as env:
        env.reset()
        waiting = in_background(lambda: env.step(PlayAction(do="wait", text="here")))
        assert ledger.entered.wait(WAIT_S)
        for _ in range(3):
            wire.cut()
        ledger.gate.set()
        assert waiting.result(WAIT_S).observation.text == "here"
        wire.cut()
        assert env.step(PlayAction(text="again")).observation.text == "again"
        assert ledger.steps() == [1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_cut_while_closing(kind: str) -> None:
    with play_server(max_concurrent_envs=1) as (server, ledger), wire_to(server) as wire:
        with playing(kind, wire.url) as env:
            env.reset()
            cut_at(wire, b"closed", b"hello")
            env.close()
            assert [what for _, what in ledger.calls] == ["reset", "close"]
            env.reset()
            wire.cut()
            env.close()
        assert [what for _, what in ledger.calls] == ["reset", "close"] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_was_restarted(kind: str) -> None:
    with play_server() as (server, ledger), playing(kind, server.url) as env:
        env.reset()
        server.stop()
        server.start()
        with pytest.raises(EpisodeLost) as caught:
            env.step(PlayAction())
        # it says that it stops, if that still gets through
        assert caught.value.details["reason"] in ("server_stopped", "session_unknown")
        assert ledger.steps() == []
        env.reset()
        env.step(PlayAction())
        assert ledger.steps() == [2]


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_give_up_the_connection_goes_on(kind: str) -> None:
    with (
        play_server(max_concurrent_envs=1) as (server, ledger),
        wire_to(server) as wire,
        playing(kind, wire.url) as env,
    ):
        env.reset()
        with pytest.raises(StepTimeout):
            env.step(PlayAction(do="wait", text="late"), timeout_s=0.05)
        ledger.gate.set()  # nobody hears of its answer
        env.reset()  # with another environment, once the first one has let go
        assert env.step(PlayAction(text="mine")).observation.text == "mine"
        assert wire.connections == 1
        assert (1, "close") in ledger.calls


def out_of_order(wire: Wire) -> threading.Event:
    """Cut the wire at whatever comes; the event is set once it was tried again."""
    tried = threading.Event()
    before = wire.connections

    def when(data: bytes) -> bool:
        if wire.connections > before + 2:
            tried.set()
        return True

    wire.cut_when = when
    return tried


async def test_cancelled_while_connecting_again() -> None:
    with play_server(max_concurrent_envs=1) as (server, ledger), wire_to(server) as wire:
        async with PlayClient(wire.url) as env:
            await env.reset()
            tried = out_of_order(wire)
            wire.cut()
            waiting = asyncio.create_task(env.step(PlayAction()))
            assert await asyncio.to_thread(tried.wait, WAIT_S)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(EpisodeLost) as caught:
                await env.state()
            assert caught.value.details == {"reason": "cancelled"}
            wire.cut_when = lambda data: False
            await env.reset()
            assert (1, "close") in ledger.calls  # what it owed; there is but one place
            assert ledger.steps() == []


def test_closed_while_connecting_again() -> None:
    with play_server(max_concurrent_envs=1) as (server, ledger), wire_to(server) as wire:
        env = SyncEnvClient(PlayClient(wire.url))
        env.reset()
        tried = out_of_order(wire)
        wire.cut()
        waiting = in_background(lambda: env.step(PlayAction()))
        assert tried.wait(WAIT_S)
        wire.cut_when = lambda data: False
        env.close()
        with suppress(SessionClosed):  # unless it had its answer a moment before
            waiting.result(WAIT_S)
        with SyncEnvClient(PlayClient(server.url)) as other:
            other.reset()
        assert (1, "close") in ledger.calls


# A line that is dead without a sign --------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_falls_silent(kind: str) -> None:
    with (
        play_server() as (server, ledger),
        wire_to(server) as wire,
        playing(kind, wire.url, liveness_timeout_s=0.1) as env,
    ):
        env.reset()
        wire.swallow()
        assert env.step(PlayAction(text="heard")).observation.text == "heard"
        assert ledger.steps() == [1]
        assert wire.connections == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_that_takes_nothing_any_more(kind: str) -> None:
    with (
        play_server(max_message_bytes=50_000_000) as (server, ledger),
        wire_to(server) as wire,
        playing(kind, wire.url, liveness_timeout_s=0.5) as env,
    ):
        env.reset()
        wire.stall()
        large = "x" * 16_000_000  # more than the buffers on the way
        assert len(env.step(PlayAction(text=large)).observation.text) == len(large)
        assert ledger.steps() == [1]
        assert wire.connections == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_keeps_its_time_where_sending_is_stuck(kind: str) -> None:
    with (
        play_server(max_message_bytes=50_000_000) as (server, ledger),
        wire_to(server) as wire,
        playing(kind, wire.url) as env,
    ):
        env.reset()
        wire.stall()
        with pytest.raises(EpisodeLost) as caught:
            env.step(PlayAction(text="x" * 16_000_000), timeout_s=0.2)
        assert caught.value.details == {"reason": "timeout"}
        env.reset()
        assert ledger.steps() == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_only_busy_is_left_alone(kind: str) -> None:
    pongs: list[bytes] = []
    with (
        play_server() as (server, ledger),
        wire_to(server) as wire,
        playing(kind, wire.url, liveness_timeout_s=0.1) as env,
    ):
        env.reset()

        def listen(data: bytes) -> bool:
            if data[0] == 0x8A:
                pongs.append(data)
                if len(pongs) == 4:
                    ledger.gate.set()
            return False

        wire.cut_when = listen
        assert env.step(PlayAction(do="wait", text="done")).observation.text == "done"
        assert len(pongs) >= 4
        assert wire.connections == 1
