"""Environments at the levels of this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from envs.coding.tests.tool_worlds import CONTAINED, Player, Shop

from openenv_coding import CodingAction, CodingObservation
from openenv_coding.server.environment import CodingEnvironment

Run = Callable[..., CodingObservation]


@pytest.fixture(params=CONTAINED or [pytest.param("", marks=pytest.mark.skip(reason="apt-get install bubblewrap"))])
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(level: str) -> Iterator[Callable[..., CodingEnvironment]]:
    """Makes environments at a level that keeps harm in."""
    with contextlib.ExitStack() as stack:

        def made(**arguments: Any) -> CodingEnvironment:
            environment = CodingEnvironment(level, **arguments)
            stack.callback(environment.close)
            assert "no_host_files" in environment.state.guarantees
            environment.reset(seed=1)
            return environment

        yield made


@pytest.fixture
def env(make: Callable[..., CodingEnvironment]) -> CodingEnvironment:
    return make()


@pytest.fixture
def run(env: CodingEnvironment) -> Run:
    def step(code: str, **fields: Any) -> CodingObservation:
        return env.step(CodingAction(code=code, **fields))

    return step


@pytest.fixture
def shops(kind: str) -> Iterator[Callable[..., Player]]:
    """Makes tool environments whose code runs where ``kind`` says."""
    with contextlib.ExitStack() as stack:

        def made(base: Any = Shop, **members: Any) -> Player:
            environment = type(base.__name__, (base,), {"sandbox": kind, **members})()
            stack.callback(environment.close)
            return Player(environment)

        yield made


@pytest.fixture
def shop(shops: Callable[..., Player]) -> Player:
    return shops()
