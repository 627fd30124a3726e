"""sample: whatever model the schema came from, the value validates."""

from __future__ import annotations

import random
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel, TypeAdapter, create_model

from openenv.errors import ConfigurationError
from openenv.schema import json_schema, sample
from openenv.types import Action

SEEDS = st.integers(0, 2**32)


class Suit(Enum):
    HEARTS = "hearts"
    SPADES = "spades"


class Rank(Enum):
    ACE = 1
    TEN = 10


class Card(BaseModel):
    suit: Suit
    rank: Rank


class Node(BaseModel):
    value: int
    left: Node | None
    right: Node | None
    others: list[Node]


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=1, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]


class Move(Action):
    """Everything at once."""

    card: Card
    tree: Node
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    frame: np.ndarray
    energy: np.float32
    alias: int = Field(alias="theAlias")
    left_out: int = Field(default=0, ge=10)


class Endless(BaseModel):
    child: Endless


@st.composite
def integers(draw: st.DrawFn) -> Any:
    low = draw(st.none() | st.integers(-(2**70), 2**70))
    span = draw(st.integers(0, 1000))
    step = draw(st.none() | st.integers(1, 20))
    limits: dict[str, Any] = {} if step is None else {"multiple_of": step}
    if low is not None:
        limits |= {draw(st.sampled_from(["ge", "gt"])): low - 1}
    if draw(st.booleans()):
        limits |= {draw(st.sampled_from(["le", "lt"])): (low or 0) + span + 2 * (step or 1) + 1}
    return Annotated[int, Field(**limits)]


@st.composite
def numbers(draw: st.DrawFn) -> Any:
    low = draw(st.none() | st.floats(-1e300, 1e300))
    high = draw(st.none() | st.floats(-1e300, 1e300))
    if low is not None and high is not None and low >= high:
        low, high = (high, low) if high < low else (low, None)
    limits: dict[str, Any] = {}
    if low is not None:
        limits[draw(st.sampled_from(["ge", "gt"]) if high is None else st.just("ge"))] = low
    if high is not None:
        limits[draw(st.sampled_from(["le", "lt"]))] = high
    return Annotated[float, Field(**limits)]


@st.composite
def sized(draw: st.DrawFn, kind: Any) -> Any:
    least = draw(st.none() | st.integers(0, 12))
    most = draw(st.none() | st.integers(least or 0, 20))
    return Annotated[kind, Field(min_length=least, max_length=most)]


LEAVES = st.one_of(
    integers(),
    numbers(),
    sized(str),
    st.sampled_from(
        [
            bool,
            None,
            Any,
            Suit,
            Rank,
            Card,
            Literal["a", 1, None],
            np.ndarray,
            np.int8,
            Node,
            Move,
            RootModel[dict[str, int]],
        ]
    ),
)
TYPES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda kind: kind | None if kind is not None else None),
        inner.flatmap(lambda kind: sized(list[kind])),
        inner.map(lambda kind: tuple[kind, int]),
        inner.map(lambda kind: tuple[kind, ...]),
        inner.flatmap(lambda kind: sized(dict[str, kind])),
        inner.map(lambda kind: create_model("Inner", field=(kind, ...), spare=(kind, None), __base__=Action)),
        st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1] if None not in pair else pair[0]),
    ),
    max_leaves=6,
)


@given(kind=TYPES, seed=SEEDS)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # building models takes what it takes
def test_a_sample_of_any_model_validates(kind: Any, seed: int) -> None:
    model = create_model("Drawn", field=(kind, ...), __base__=Action)
    drawn = sample(json_schema(model), random.Random(seed))
    model.model_validate(drawn)
    assert drawn == sample(json_schema(model), random.Random(seed))


@pytest.mark.parametrize("seed", range(50))
def test_one_model_with_everything(seed: int) -> None:
    drawn = sample(json_schema(Move), random.Random(seed))
    assert set(drawn) == {"card", "tree", "pet", "frame", "energy", "theAlias", "left_out"}
    assert Move.model_validate(drawn).left_out >= 10


class Settled(Action):
    """Every field has a default."""

    move: Literal["hit", "stick"] = "stick"
    tree: Node | None = None
    since: datetime | None = None
    mark: str = Field(default="a", pattern="^a$")
    children: list[Settled] = Field(default_factory=list)
    again: Endless | None = None


def test_fields_with_a_default_are_drawn_if_they_can_be() -> None:
    schema = json_schema(Settled)
    drawn = [sample(schema, random.Random(seed)) for seed in range(100)]
    assert {action["move"] for action in drawn} == {"hit", "stick"}
    assert {action["tree"] is None for action in drawn} == {True, False}
    assert all(action["since"] is None and action["again"] is None for action in drawn)
    assert not any(action.keys() & {"mark", "metadata"} for action in drawn)
    assert any(action["children"] for action in drawn)
    assert max(map(depth, drawn)) < 24
    for action in drawn:
        Settled.model_validate(action)


def depth(value: Any) -> int:
    """How deep values are nested in each other."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0)


def test_metadata_of_the_authors_own_is_drawn() -> None:
    class Labelled(Action):
        metadata: dict[str, int] = Field(default_factory=dict, min_length=1)

    assert sample(json_schema(Labelled), random.Random(0))["metadata"]


@pytest.mark.parametrize(
    "kind",
    [
        Annotated[set[bool], Field(min_length=2)],
        Annotated[frozenset[Literal["a", "b", "c"]], Field(min_length=3)],
        set[Literal["a", "b"]],
        Annotated[dict[Literal["a", "b"], int], Field(min_length=2)],
        Annotated[dict[str, Any], Field(min_length=5)],
        Annotated[dict[str, list[int]], Field(min_length=3)],
        Annotated[float, Field(gt=0, le=1, multiple_of=0.25)],
        Annotated[float, Field(gt=1e20)],
        Annotated[float, Field(lt=-1e20)],
        Annotated[float, Field(gt=0, lt=5e-324 * 2)],
        Annotated[float, Field(ge=-1.7e308, le=1.7e308)],
        Annotated[int, Field(ge=0, gt=0, le=1)],
        Annotated[int, Field(gt=0, lt=14, multiple_of=7)],
        Annotated[int, Field(gt=2**70, multiple_of=7)],
        Annotated[str, Field(max_length=0)],
        Annotated[str, Field(min_length=30)],
        tuple[()],
    ],
    ids=str,
)
def test_narrow_places_are_hit(kind: Any) -> None:
    adapter = TypeAdapter(kind)
    for seed in range(50):
        adapter.validate_python(sample(adapter.json_schema(), random.Random(seed)))


def test_all_values_come_and_the_seed_decides() -> None:
    schema = json_schema(Card)
    drawn = [sample(schema, random.Random(seed)) for seed in range(100)]
    assert {card["suit"] for card in drawn} == {"hearts", "spades"}
    assert {card["rank"] for card in drawn} == {1, 10}
    assert drawn == [sample(schema, random.Random(seed)) for seed in range(100)]


def test_bounds_are_reached() -> None:
    drawn = {sample({"type": "integer", "minimum": -1, "maximum": 2}, random.Random(seed)) for seed in range(200)}
    assert drawn == {-1, 0, 1, 2}
    rng = random.Random(0)
    assert {len(sample({"type": "array", "items": {"type": "null"}, "maxItems": 2}, rng)) for _ in range(99)} == {
        0,
        1,
        2,
    }
    assert {sample({"type": ["null", "boolean"]}, rng) for _ in range(99)} == {None, True, False}
    assert sample({"allOf": [{"const": 5}]}, rng) == 5


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "string", "pattern": "^a$"}, "of the form '^a$'"),
        ({"type": "string", "format": "date-time"}, "of the form 'date-time'"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "no multiple of 1 fits"),
        ({"type": "integer", "minimum": 1, "maximum": 6, "multipleOf": 7}, "no multiple of 7 fits"),
        ({"type": "number", "exclusiveMinimum": 1, "maximum": 1}, "no number fits"),
        ({"type": "array", "items": {"const": 1}, "uniqueItems": True, "minItems": 2}, "fewer than 2 different items"),
        ({"type": "object", "propertyNames": {"const": "a"}, "minProperties": 2}, "too few names"),
        ({"type": "colour"}, "cannot draw a value"),
        ({"not": {"type": "null"}}, "cannot draw a value"),
        ({"anyOf": []}, "empty list of options"),
        ({"anyOf": [{"type": "colour"}, {"type": "colour"}]}, "cannot draw a value"),
        (Endless.model_json_schema(), "refers to itself too deeply"),
    ],
)
def test_what_cannot_be_drawn_is_said(schema: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told.replace("^", r"\^").replace("$", r"\$")):
        sample(schema, random.Random(0))


def test_an_option_that_cannot_be_drawn_is_passed_over() -> None:
    schema = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}
    assert {sample(schema, random.Random(seed)) for seed in range(20)} == {None}


def test_as_many_different_items_as_there_are() -> None:
    schema = {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True}
    assert {len(sample(schema, random.Random(seed))) for seed in range(99)} == {0, 1, 2}
