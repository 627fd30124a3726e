"""Environments at the levels of this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from openenv.sandbox import Guarantee, probe
from openenv_coding import CodingAction, CodingObservation
from openenv_coding.server.environment import CodingEnvironment

CONTAINED = [
    finding.level.value
    for finding in probe()
    if finding.available and finding.guarantees >= {Guarantee.NO_HOST_FILES, Guarantee.PROCESSES}
]
"""Levels at which code may be run that is meant to do harm."""

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
