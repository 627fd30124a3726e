"""Environments in the old style, served by a real server and played by their own clients over both protocols."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.compat.old_style import (
    CounterAction,
    CounterClient,
    CounterEnvironment,
    CounterObservation,
    CounterState,
    DiceAction,
    DiceClient,
    DiceEnvironment,
    DiceObservation,
    GuessAction,
    GuessClient,
    GuessEnvironment,
    GuessObservation,
    GuessResult,
)

from openenv.core import GenericAction, GenericEnvClient, SyncEnvClient
from openenv.core.client_types import StepResult
from openenv.core.env_server.http_server import create_app, create_fastapi_app
from openenv.core.env_server.types import State
from openenv.errors import CapacityReached, LocalProtocolError
from openenv.testing import serving

pytestmark = pytest.mark.e2e

VERSIONS = ("v2", "v1")


def speaking(version: str, app: Any) -> Any:
    """The application; for v1 it does not hear which subprotocols a client offers, like a server that knows none."""
    if version == "v2":
        return app

    async def deaf(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await app({**scope, "subprotocols": []} if scope["type"] == "websocket" else scope, receive, send)

    return deaf


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def counter(version: str) -> Iterator[str]:
    app = create_app(CounterEnvironment, CounterAction, CounterObservation, env_name="counter", max_concurrent_envs=4)
    with serving(speaking(version, app)) as url:
        yield url


@pytest.fixture(scope="module")
def guess(version: str) -> Iterator[str]:
    app = create_app(GuessEnvironment, GuessAction, GuessObservation, env_name="guess", max_concurrent_envs=1)
    with serving(speaking(version, app)) as url:
        yield url


@pytest.fixture(scope="module")
def dice(version: str) -> Iterator[str]:
    app = create_fastapi_app(DiceEnvironment, DiceAction, DiceObservation, 2, env_name="dice")
    with serving(speaking(version, app)) as url:
        yield url


# 1 -----------------------------------------------------------------------------------------------


async def test_counter_awaited(counter: str) -> None:
    async with CounterClient(base_url=counter, message_timeout_s=60.0) as env:
        result = await env.reset(seed=1, episode_id="mine", start=5)
        assert isinstance(result, StepResult)
        assert result.observation == CounterObservation(total=5, legal=[1, 2], reward=0.0)
        assert (result.reward, result.done, result.metadata) == (0.0, False, {})
        result = await env.step(CounterAction(add=5))
        assert result.observation.total == 10
        assert (result.reward, result.done, result.terminated) == (1.0, True, True)
        assert await env.state() == CounterState(episode_id="mine", step_count=1, target=10)
        result = await env.step(CounterAction(add=1))  # after the end: these environments allow it
        assert result.observation.total == 11


def test_counter_in_turn(counter: str) -> None:
    with CounterClient(base_url=counter).sync() as env:
        assert isinstance(env, SyncEnvClient)
        assert env.reset().observation.total == 0
        assert [env.step(CounterAction(add=2)).observation.total for _ in range(3)] == [2, 4, 6]
        assert env.state().step_count == 3


def test_hooks_see_payloads_of_version_1(counter: str) -> None:
    client = CounterClient(base_url=counter)
    with client.sync() as env:
        env.reset(seed=1, episode_id="mine")
        env.step(CounterAction(add=10))
    seen = {"metadata": {}, "total": 0, "legal": [1, 2]}
    assert client.payloads == [
        {"observation": seen, "reward": 0.0, "done": False},
        {"observation": {**seen, "total": 10, "legal": []}, "reward": 1.0, "done": True},
    ]


async def test_unknown_options_of_a_reset_are_left_out(dice: str) -> None:
    async with DiceClient(dice) as env:
        await env.reset(seed=1, difficulty="hard")
        assert (await env.state()).step_count == 0


def test_a_step_before_a_reset_runs(counter: str) -> None:
    with CounterClient(counter).sync() as env:
        assert env.step(CounterAction(add=3)).observation.total == 3


async def test_step_options_are_never_dropped(counter: str, version: str) -> None:
    async with CounterClient(counter) as env:
        await env.reset()
        if version == "v1":
            with pytest.raises(LocalProtocolError, match="render"):
                await env.step(CounterAction(add=1), render=True)
        else:
            await env.step(CounterAction(add=1), render=True)
        assert (await env.step(CounterAction(add=1))).observation.total in (1, 2)


async def test_a_session_too_many_is_a_runtime_error(guess: str) -> None:
    async with GuessClient(guess) as first:
        await first.reset()
        second = GuessClient(guess)
        with pytest.raises(CapacityReached) as refused:
            await second.reset()
        assert isinstance(refused.value, RuntimeError)
        await second.close()


# 2 -----------------------------------------------------------------------------------------------


async def test_guess_awaited(guess: str) -> None:
    async with GuessClient(base_url=guess, connect_timeout_s=10.0) as env:
        result = await env.reset(seed=3)
        assert isinstance(result, GuessResult)
        assert result.observation == GuessObservation(hint="four letters")
        assert (await env.step(GuessAction(guess="bird"))).reward == 0.0
        result = await env.step(GuessAction(guess="fish"))
        assert (result.reward, result.done, result.info) == (1.0, True, None)
        assert await env.state() == State(episode_id="only", step_count=2)


def test_guess_in_turn(guess: str) -> None:
    with GuessClient(base_url=guess).sync() as env:
        assert env.reset().observation.hint == "four letters"
        assert env.step(GuessAction(guess="fish")).done
        assert env.state().step_count == 1


def test_several_sessions_of_a_class_that_allows_one_get_processes_of_their_own() -> None:
    app = create_app(GuessEnvironment, GuessAction, GuessObservation, max_concurrent_envs=2)
    assert app.state.engine.is_isolated
    with serving(app) as url, GuessClient(base_url=url).sync() as first, GuessClient(base_url=url).sync() as second:
        assert first.reset().observation.hint == second.reset().observation.hint == "four letters"
        assert first.step(GuessAction(guess="fish")).done
        assert not second.step(GuessAction(guess="bird")).done


# 3 -----------------------------------------------------------------------------------------------


async def test_dice_awaited(dice: str) -> None:
    expected = random.Random(7)
    async with DiceClient(base_url=dice) as env:
        assert (await env.reset(seed=7, episode_id="e")).observation.dice == []
        rolled = [expected.randint(1, 6) for _ in range(5)]
        result = await env.step(DiceAction(rolls=5))
        assert result.observation == DiceObservation(dice=rolled, metadata={"best": max(rolled)})
        assert result.reward == sum(rolled)
        assert result.metadata == {"best": max(rolled)}
        state = await env.state()
        assert (state.episode_id, state.step_count, state.table) == ("e", 1, "green")


def test_dice_in_turn(dice: str) -> None:
    expected = random.Random(8)
    with DiceClient(base_url=dice).sync() as env:
        env.reset(seed=8)
        for _ in range(3):
            assert env.step(DiceAction()).observation.dice == [expected.randint(1, 6)]


def test_an_author_describes_an_environment(dice: str) -> None:
    told = httpx.get(f"{dice}/metadata").json()
    assert (told["name"], told["version"], told["author"]) == ("dice", "0.3.0", "me")


# Without types -----------------------------------------------------------------------------------


async def test_the_generic_client(dice: str) -> None:
    async with GenericEnvClient(base_url=dice) as env:
        await env.reset(seed=7)
        result = await env.step(GenericAction(rolls=2))
        assert result.observation["dice"] == [random.Random(7).randint(1, 6), result.observation["dice"][1]]
        assert result.observation["metadata"] == result.metadata == {"best": max(result.observation["dice"])}
        assert (await env.state())["step_count"] == 1
