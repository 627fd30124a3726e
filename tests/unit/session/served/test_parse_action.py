"""An action is read from JSON text, and from values where it needed more than JSON."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ConfigDict

from openenv import Action, Environment, Observation, State
from openenv.errors import ActionInvalid
from openenv.session import EnvironmentSpec


class Move(Action):
    model_config = ConfigDict(strict=True)

    pair: tuple[int, int] = (0, 0)
    frame: NDArray[np.float32] | None = None
    raw: bytes = b""


class World(Environment[Move, Observation, State]):
    def reset(self, **kwargs: Any) -> Observation:
        return Observation()

    def step(self, action: Move) -> Observation:
        return Observation()

    @property
    def state(self) -> State:
        return State()


SPEC = EnvironmentSpec.of(World)


def test_text_is_read_as_json_also_by_a_strict_model() -> None:
    for text in (msgspec.Raw(b'{"pair":[1,2]}'), b'{"pair":[1,2]}'):
        assert SPEC.parse_action(text).pair == (1, 2)


def test_values_are_read_as_they_are() -> None:
    frame = np.ones(2, np.float32)
    move = SPEC.parse_action({"pair": (1, 2), "frame": frame, "raw": b"\xff"})
    assert (move.pair, move.raw) == ((1, 2), b"\xff")
    assert move.frame is frame


@pytest.mark.parametrize("sent", [{"pair": ("x", 2)}, msgspec.Raw(b'{"pair":["x",2]}')])
def test_what_does_not_fit_is_told_alike(sent: Any) -> None:
    with pytest.raises(ActionInvalid, match=r"invalid Move: pair.0: Input should be a valid integer") as refused:
        SPEC.parse_action(sent)
    (entry,) = refused.value.details["errors"]
    assert (entry["loc"], entry["input"], entry["type"]) == (["pair", 0], "x", "int_type")


def test_an_input_is_told_where_it_can_be_sent() -> None:
    with pytest.raises(ActionInvalid) as refused:
        SPEC.parse_action({"pair": b"\xff", "raw": object()})
    first, second = refused.value.details["errors"]
    assert first["input"] == b"\xff"
    assert "input" not in second
