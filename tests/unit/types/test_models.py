"""Action, Observation and State as authors subclass them."""

from __future__ import annotations

from collections import namedtuple
from enum import Enum
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from openenv.schema import json_schema
from openenv.types import Action, EnvironmentMetadata, Observation, State

Point = namedtuple("Point", "x y")


class Direction(Enum):
    UP = "up"
    DOWN = "down"


class Place(BaseModel):
    x: int
    y: int = 0


class Move(Action):
    direction: Direction
    to: Place | None = None
    how: Literal["fast", "slow"] = "slow"
    what: int | str = 0


class Loose(Action):
    model_config = ConfigDict(extra="allow")


class Silent(Observation):
    model_config = ConfigDict(extra="ignore")


@pytest.mark.parametrize("cls", [Action, Observation, Move])
def test_unknown_fields_are_refused_by_name(cls: type[BaseModel]) -> None:
    with pytest.raises(ValidationError) as refused:
        cls.model_validate({"direction": "up", "sideways": 1})
    assert ("sideways",) in [error["loc"] for error in refused.value.errors() if error["type"] == "extra_forbidden"]


def test_an_authors_model_config_decides() -> None:
    assert Loose.model_validate({"sideways": 1}).model_extra == {"sideways": 1}
    assert Silent.model_validate({"sideways": 1}).model_dump() == Observation().model_dump()


def test_a_model_config_that_says_something_else_keeps_the_rest() -> None:
    class Frozen(Action):
        model_config = ConfigDict(frozen=True)

    with pytest.raises(ValidationError):
        Frozen.model_validate({"sideways": 1})


def test_state_keeps_what_it_does_not_know() -> None:
    state = State.model_validate({"score": 3})
    assert (state.model_extra, state.episode_id, state.step_count) == ({"score": 3}, None, 0)
    with pytest.raises(ValidationError):
        State(step_count=-1)


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [(Observation(), "done", "perhaps"), (State(), "step_count", -1), (Action(), "metadata", 1)],
)
def test_assignments_are_validated(model: BaseModel, field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        setattr(model, field, value)


def test_enums_nested_models_literals_and_unions_from_json() -> None:
    move = Move.model_validate_json('{"direction":"down","to":{"x":1},"how":"fast","what":"7"}')
    assert move == Move(direction=Direction.DOWN, to=Place(x=1), how="fast", what="7")
    assert Move.model_validate_json(move.model_dump_json()) == move
    assert type(Move.model_validate_json('{"direction":"up","what":7}').what) is int


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"direction":"left"}', ("direction",)),
        ('{"direction":"up","to":{"x":"a"}}', ("to", "x")),
        ('{"direction":"up","how":"never"}', ("how",)),
        ('{"direction":"up","what":[]}', ("what", "int")),
        ("{}", ("direction",)),
    ],
)
def test_what_does_not_fit_is_named(text: str, where: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as refused:
        Move.model_validate_json(text)
    assert refused.value.errors()[0]["loc"] == where


def test_schema_of_a_move() -> None:
    schema = json_schema(Move)
    assert schema["required"] == ["direction"]
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Direction"]["enum"] == ["up", "down"]
    assert schema["properties"]["how"]["enum"] == ["fast", "slow"]
    assert [option["type"] for option in schema["properties"]["what"]["anyOf"]] == ["integer", "string"]
    assert "additionalProperties" not in json_schema(Loose) or json_schema(Loose)["additionalProperties"] is True


@pytest.mark.parametrize("reward", [1, 1.0, True, None, -2.5])
def test_a_reward_keeps_its_kind(reward: Any) -> None:
    kept = Observation(reward=reward).reward
    assert (kept, type(kept)) == (reward, type(reward))
    assert Observation.model_validate_json(Observation(reward=reward).model_dump_json()).reward == reward


def test_two_models_share_no_metadata() -> None:
    one, other = Observation(), Observation()
    one.metadata["a"] = 1
    assert other.metadata == {}


def test_defaults_are_the_authors_own_objects() -> None:
    class Kept(Action):
        point: Any = Point(1, 2)
        shape: Any = Field({"type": "is-instance", "cls": np.ndarray})

    assert type(Kept().point) is Point
    assert Kept().shape == {"type": "is-instance", "cls": np.ndarray}


def test_metadata_of_an_environment() -> None:
    told = EnvironmentMetadata(name="echo", description="says it back")
    assert told.model_dump(exclude_none=True) == {"name": "echo", "description": "says it back"}
    with pytest.raises(ValidationError):
        EnvironmentMetadata.model_validate({"name": "echo"})
