"""Which models are written in one pass, and that the pass loses nothing."""

from __future__ import annotations

import enum
import json
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    RootModel,
    computed_field,
    field_serializer,
    model_serializer,
)

from openenv import Action, Observation, State
from openenv.protocol import Observed, StateIs, rich_fields
from openenv.protocol.plain import is_plain_model, plain_json
from openenv.protocol.v2 import V2ClientCodec, V2ServerCodec


class Colour(enum.Enum):
    RED = "r"


class Leaf(BaseModel):
    a: int
    b: float | None = None


class Tree(BaseModel):
    leaf: Leaf
    children: list[Tree] = []


class Plain(Observation):
    text: str = ""
    kind: Literal["a", "b", 3, None] = "a"
    number: Annotated[float, Field(ge=0)] | None = None
    rows: list[list[int]] = Field(default_factory=list)
    named: dict[str, list[Leaf]] = Field(default_factory=dict)
    tree: Tree | None = None
    flag: bool = Field(default=False, alias="flagged")


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")


class Rich(Observation):
    anything: Any = None
    raw: bytes = b""
    pair: tuple[int, ...] = ()
    keyed: dict[int, str] = Field(default_factory=dict)
    colour: Colour = Colour.RED
    loose: Loose | None = None
    listed: list[Any] = Field(default_factory=list)
    said: Annotated[str, PlainSerializer(lambda value: value.encode())] = ""
    deep: list[Annotated[str, BeforeValidator(str)]] = Field(default_factory=list)
    plain: int = 0


class Serialized(Observation):
    x: int = 1

    @field_serializer("x")
    def shown(self, x: int) -> bytes:
        return b"\xff"


class Computed(Observation):
    @computed_field  # type: ignore[prop-decorator]
    @property
    def x(self) -> bytes:
        return b"\xff"


class Whole(Observation):
    @model_serializer
    def shown(self) -> dict[str, Any]:
        return {"x": b"\xff"}


class Rooted(RootModel[list[int]]):
    pass


def test_which_fields_can_hold_more_than_json() -> None:
    assert rich_fields(Plain) == rich_fields(Action) == {"metadata"}
    assert rich_fields(State) == frozenset()
    assert rich_fields(Rich) == set(Rich.model_fields) - set(Observation.model_fields) - {"plain"} | {"metadata"}
    assert rich_fields(Tree) == rich_fields(Leaf) == frozenset()


@pytest.mark.parametrize("cls", [Serialized, Computed, Whole, Rooted, dict, int, Colour])
def test_of_other_classes_it_cannot_be_told(cls: type[Any]) -> None:
    assert rich_fields(cls) is None


def test_a_plain_model() -> None:
    assert is_plain_model(Plain())
    assert not is_plain_model(Plain(metadata={"a": 1}))
    assert is_plain_model(Plain(metadata={"a": 1}), {"metadata"})
    assert not is_plain_model({"text": "a"})
    assert is_plain_model(State())
    assert not is_plain_model(State.model_validate({"x": b"\xff"}))


FULL = Plain(flagged=True, rows=[[1, 2], []], named={"a": [Leaf(a=1)]}, tree=Tree(leaf=Leaf(a=2, b=0.5)), number=1)


def test_one_pass_writes_what_pydantic_writes() -> None:
    text = plain_json(FULL, {"metadata"})
    assert text is not None
    assert json.loads(text) == FULL.model_dump(mode="json", exclude={"metadata"})


class Mutable(BaseModel):
    model_config = ConfigDict(validate_assignment=False)

    rows: list[float] = []
    text: str | None = ""
    named: dict[str, int] = {}


@pytest.mark.parametrize(
    "fields",
    [
        {"rows": [float("nan")]},
        {"rows": np.ones(2, np.int8)},
        {"named": {"$openenv": 1}},
    ],
)
def test_what_the_fields_were_not_made_for_is_not_lost(fields: dict[str, Any]) -> None:
    model = Mutable.model_construct(**fields)
    assert plain_json(model) is None
    got = V2ClientCodec().decode(V2ServerCodec().encode(StateIs(state=model)))
    assert isinstance(got, StateIs)
    for name, value in fields.items():
        assert repr(got.state[name]) == repr(value)


def test_null_alone_takes_one_pass() -> None:
    assert plain_json(Mutable(text=None)) == b'{"rows":[],"text":null,"named":{}}'


@pytest.mark.parametrize("model", [Serialized(), Computed(), Whole()])
def test_what_serializers_make_is_not_lost(model: Observation) -> None:
    got = V2ClientCodec().decode(V2ServerCodec().encode(Observed(observation=model)))
    assert isinstance(got, Observed)
    assert got.observation == {"x": b"\xff"}
