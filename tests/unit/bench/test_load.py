"""The load clients on a real server: they take as many steps as they say, and no answer goes unseen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from bench.load import connected
from bench.load_v2 import Encoding, MuxedLoad, muxed
from bench.spinning import Message, Spinning

from openenv import Action, Environment, Observation, State
from openenv.app import create_app
from openenv.testing import serving


class Say(Action):
    message: str


class Heard(Observation):
    message: str = ""


class Counting(Environment[Say, Heard, State]):
    """Counts the steps of all its instances; a step in which ``fails_at`` is reached fails."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    taken = 0
    fails_at = 0

    def reset(self, seed: int | None = None, **options: Any) -> Heard:
        return Heard()

    def step(self, action: Say) -> Heard:
        type(self).taken += 1
        if self.taken == self.fails_at:
            raise ValueError("broken")
        return Heard(message=action.message, reward=1.0)

    @property
    def state(self) -> State:
        return State()


@pytest.fixture
def port() -> Iterator[int]:
    Counting.taken = Counting.fails_at = 0
    with serving(create_app(Counting)) as url:
        yield urlsplit(url).port or 0


def test_v1_takes_the_steps_it_says(port: int) -> None:
    with connected(port, 3) as load:
        load.steps(10)
        assert len(load.latencies(4)) == 4
        load.steps(2)
    assert Counting.taken == 16


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_v2_takes_the_steps_it_says(port: int, encoding: Encoding) -> None:
    with muxed(port, 5, encoding) as load:
        load.steps(12)
        load.batches(3)
        load.steps(2)
    assert Counting.taken == 29


def test_an_answer_that_is_no_observation_is_an_error(port: int) -> None:
    Counting.fails_at = 3
    with pytest.raises(ConnectionError, match="instead of an observation"), connected(port, 1) as load:
        load.steps(5)
    Counting.fails_at = Counting.taken + 2
    with pytest.raises(ConnectionError, match="instead of"), muxed(port, 2, "json") as batched:
        batched.batches(2)


class Repeating:
    """A connection whose server answers every step with the first answer that it gave."""

    def __init__(self) -> None:
        self._answers: list[bytes] = [b'{"type":"hello","session":""}']

    def send(self, frame: bytes) -> None:
        request = json.loads(frame[frame.index(b"{") :])
        kind = "opened" if request["type"] == "open" else "observation"
        answer = {"type": kind, "session": "s", "id": min(request.get("id", 0), 2)}
        self._answers.append(json.dumps(answer).encode())

    def next(self) -> Message:
        return self._answers.pop(0)

    def received(self) -> list[Message]:
        return [self.next()]


def test_an_answer_to_another_request_is_an_error() -> None:
    load = MuxedLoad(cast(Spinning, Repeating()), "json", 1)
    load.steps(1)
    with pytest.raises(ConnectionError, match="instead of an observation"):
        load.steps(1)
