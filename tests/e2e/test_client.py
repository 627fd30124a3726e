"""Both clients against a real server: types, errors, closing."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import numpy as np
import pytest
from tests.unit.client.servers import (
    KINDS,
    WAIT_S,
    Colour,
    Play,
    PlayAction,
    PlayClient,
    PlayObservation,
    PlayState,
    Point,
    in_background,
    play_server,
    playing,
    serving,
)

from openenv import EnvClient, GenericEnvClient, SyncEnvClient, create_app
from openenv.errors import (
    ActionInvalid,
    CapacityReached,
    ConnectFailed,
    EpisodeDone,
    ExecutionFailed,
    FactoryFailed,
    LocalProtocolError,
    ObservationInvalid,
    ResetNeeded,
    RewardInvalid,
    SessionClosed,
)

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("kind", KINDS)
def test_types_come_and_go_as_they_are(kind: str) -> None:
    with play_server() as (server, _), playing(kind, server.url) as env:
        begun = env.reset(seed=7, episode_id="mine", level=3)
        assert begun.observation.text == "seed 7"
        assert begun.observation.level == np.float32(3)
        assert isinstance(begun.observation.level, np.float32)
        assert (begun.metadata["seed"], begun.metadata["episode_id"]) == (7, "mine")
        assert (begun.reward, begun.done) == (None, False)

        weights = np.arange(6.0).reshape(2, 3)
        taken = env.step(PlayAction(text="é☃", colour=Colour.BLUE, at=Point(x=2), weights=weights), louder=True)
        assert isinstance(taken.observation, PlayObservation)
        assert taken.observation.text == "É☃"
        assert taken.observation.colour is Colour.BLUE
        assert taken.observation.at == Point(x=2, y=0)
        np.testing.assert_array_equal(taken.observation.grid, weights * 2)
        assert (taken.reward, taken.observation.reward) == (1.0, 1.0)
        assert env.step({"at": "there"}).observation.at == "there"

        state = env.state()
        assert isinstance(state, PlayState)
        assert state.at == Point(x=state.instance)
        ended = env.step(PlayAction(do="end"))
        assert (ended.done, ended.terminated, ended.truncated, ended.observation.done) == (True, True, False, True)


@pytest.mark.parametrize("kind", KINDS)
def test_without_types_all_are_dicts(kind: str) -> None:
    with play_server() as (server, _), playing(kind, server.url, GenericEnvClient) as env:
        assert env.reset(seed=1).observation["text"] == "seed 1"
        taken = env.step({"text": "hi", "at": {"x": 4}, "weights": [1, 2]}).observation
        np.testing.assert_array_equal(taken.pop("grid"), [2, 4])
        assert taken == {"text": "hi", "colour": "red", "at": {"x": 4, "y": 0}, "level": 0.0}
        assert env.state()["at"]["x"] == env.state()["instance"]


class ByAttributes(EnvClient[Any, Any, Any]):
    action_type = PlayAction
    observation_type = PlayObservation
    state_type = PlayState


def by_arguments(url: str) -> EnvClient[Any, Any, Any]:
    return EnvClient(url, observation_type=PlayObservation, state_type=PlayState)


@pytest.mark.parametrize(
    "make", [PlayClient, ByAttributes, by_arguments, EnvClient[PlayAction, PlayObservation, PlayState]]
)
def test_every_way_to_name_the_types(make: Any) -> None:
    with play_server() as (server, _), make(server.url).sync() as env:
        assert isinstance(env.reset().observation, PlayObservation)
        assert isinstance(env.state(), PlayState)


@pytest.mark.parametrize("kind", KINDS)
def test_refusals_of_the_session(kind: str) -> None:
    with play_server() as (server, ledger), playing(kind, server.url) as env:
        with pytest.raises(ResetNeeded):
            env.step(PlayAction())
        env.reset()
        with pytest.raises(ActionInvalid) as caught:
            env.step({"colour": "green"})
        assert caught.value.details["errors"][0]["loc"] == ["colour"]
        with pytest.raises(ActionInvalid, match="hastily"):
            env.step(PlayAction(), hastily=True)
        with pytest.raises(ActionInvalid, match="colour"):
            env.reset(colour="green")
        with pytest.raises(ExecutionFailed, match="boom"):
            env.step(PlayAction(do="crash"))
        with pytest.raises(RewardInvalid) as reward:
            env.step(PlayAction(do="nan", text="kept"))
        assert reward.value.details["observation"]["text"] == "kept"
        with pytest.raises(ObservationInvalid):
            env.step(PlayAction(do="opaque"))
        env.step(PlayAction(do="end"))
        with pytest.raises(EpisodeDone):
            env.step(PlayAction())
        assert ledger.built == 1


@pytest.mark.parametrize("kind", KINDS)
def test_one_session_too_many(kind: str) -> None:
    with play_server(max_concurrent_envs=1) as (server, _), playing(kind, server.url) as first:
        first.reset()
        with playing(kind, server.url) as second:
            with pytest.raises(CapacityReached) as caught:
                second.reset()
            assert (caught.value.details["active_sessions"], caught.value.details["max_sessions"]) == (1, 1)
            first.close()
            assert second.reset().done is False


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_path_is_named(kind: str) -> None:
    with (
        play_server() as (server, _),
        playing(kind, f"{server.url}/x") as env,
        pytest.raises(ConnectFailed, match=r"HTTP 403 at the path /x/ws; .* is that its path"),
    ):
        env.connect()


class Unbuildable(Play):
    def __init__(self) -> None:
        raise RuntimeError("no model file")


@pytest.mark.parametrize("kind", KINDS)
def test_an_environment_that_cannot_be_built(kind: str) -> None:
    with (
        serving(lambda: create_app(Unbuildable)) as server,
        playing(kind, server.url) as env,
        pytest.raises(FactoryFailed, match="no model file"),
    ):
        env.connect()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_wrong_here_is_not_sent(kind: str) -> None:
    with play_server(max_message_bytes=1000) as (server, ledger), playing(kind, server.url) as env:
        env.reset()
        for seed in (-1, 2**63, 1.5, True, "7"):
            with pytest.raises(LocalProtocolError, match="seed"):
                env.reset(seed=seed)
        for episode_id in ("x" * 256, 5):
            with pytest.raises(LocalProtocolError, match="episode_id"):
                env.reset(episode_id=episode_id)
        for timeout_s in (0, -1, float("nan"), float("inf"), "1", True):
            with pytest.raises(LocalProtocolError, match="timeout_s"):
                env.step(PlayAction(), timeout_s=timeout_s)
        cycle: dict[str, Any] = {}
        cycle["me"] = cycle
        for action in ({"text": object()}, cycle):
            with pytest.raises(ActionInvalid, match="cannot be sent"):
                env.step(action)
        for option in (object(), cycle, {object(): 1}):
            with pytest.raises(LocalProtocolError, match="cannot be sent"):
                env.reset(level=option)
        with pytest.raises(LocalProtocolError, match="takes 1000"):
            env.step(PlayAction(text="x" * 1000))
        with pytest.raises(LocalProtocolError, match="takes 1000"):
            env.step(PlayAction(text="☃" * 334))  # few characters, many bytes
        assert env.step(PlayAction(text="☃" * 100)).observation.text == "☃" * 100  # the episode went on
        assert [what for _, what in ledger.calls] == ["reset", "step"]


@pytest.mark.parametrize("kind", KINDS)
def test_after_close_only_reset_goes_on(kind: str) -> None:
    with play_server() as (server, ledger), playing(kind, server.url) as env:
        env.reset()
        env.close()
        env.close()
        assert [what for _, what in ledger.calls] == ["reset", "close"]
        for call in (env.state, lambda: env.step(PlayAction())):
            with pytest.raises(SessionClosed):
                call()
        env.reset()
        assert env.state().instance == ledger.built == 2
        env.close()
        env.connect()
        with pytest.raises(ResetNeeded):
            env.step(PlayAction())


@pytest.mark.parametrize("kind", KINDS)
def test_an_environment_that_will_not_close_is_a_warning(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with play_server() as (server, _), playing(kind, server.url) as env:
        env.reset()
        env.step(PlayAction(do="cling"))
        with caplog.at_level(logging.WARNING, "openenv.client"):
            env.close()
    assert "will not go" in caplog.text


class Belonging:
    def __init__(self) -> None:
        self.closes = 0

    def close(self) -> None:
        self.closes += 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_belongs_to_the_client_ends_with_it(kind: str) -> None:
    belonging = Belonging()
    with play_server() as (server, _), playing(kind, server.url, owned=belonging) as env:
        env.reset()
        assert belonging.closes == 0
        env.close()
        assert belonging.closes == 1


async def test_a_body_that_raises_closes_all_the_same() -> None:
    async def fail(url: str) -> None:
        async with PlayClient(url) as env:
            await env.reset()
            raise ZeroDivisionError

    def fail_blocking(url: str) -> None:
        with SyncEnvClient(url) as env:
            env.reset()
            raise ZeroDivisionError

    with play_server() as (server, ledger):
        with pytest.raises(ZeroDivisionError):
            await fail(server.url)
        with pytest.raises(ZeroDivisionError):
            fail_blocking(server.url)
        assert [what for _, what in ledger.calls] == ["reset", "close"] * 2


def test_a_second_call_meanwhile_is_refused() -> None:
    with play_server() as (server, ledger), SyncEnvClient(PlayClient(server.url)) as env:
        env.reset()
        waiting = in_background(lambda: env.step(PlayAction(do="wait", text="first")))
        assert ledger.entered.wait(WAIT_S)
        for call in (env.state, env.reset, env.connect, lambda: env.step(PlayAction())):
            with pytest.raises(LocalProtocolError, match="one client per session"):
                call()
        ledger.gate.set()
        assert waiting.result(WAIT_S).observation.text == "first"


async def test_a_second_awaited_call_meanwhile_is_refused() -> None:
    with play_server() as (server, ledger):
        async with PlayClient(server.url) as env:
            await env.reset()
            waiting = asyncio.create_task(env.step(PlayAction(do="wait", text="first")))
            assert await asyncio.to_thread(ledger.entered.wait, WAIT_S)
            for call in (env.state, env.reset, env.connect, lambda: env.step(PlayAction())):
                with pytest.raises(LocalProtocolError, match="one client per session"):
                    await call()
            ledger.gate.set()
            assert (await waiting).observation.text == "first"


def test_closing_ends_a_call_that_waits() -> None:
    with play_server() as (server, ledger):
        env = SyncEnvClient(PlayClient(server.url))
        env.reset()
        waiting = in_background(lambda: env.step(PlayAction(do="wait")))
        assert ledger.entered.wait(WAIT_S)
        env.close()
        with pytest.raises(SessionClosed):
            waiting.result(WAIT_S)


async def test_closing_ends_an_awaited_call() -> None:
    with play_server() as (server, ledger):
        env = PlayClient(server.url)
        await env.reset()
        waiting = asyncio.create_task(env.step(PlayAction(do="wait")))
        assert await asyncio.to_thread(ledger.entered.wait, WAIT_S)
        await env.close()
        with pytest.raises(SessionClosed):
            await waiting
