"""Whether a JSON value fits a JSON Schema."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pydantic import BaseModel, Field

from openenv.schema import json_schema, misfit, sample


class Leaf(BaseModel):
    name: str = Field(min_length=1, max_length=8)


class Tree(BaseModel):
    leaf: Leaf
    more: list[Tree] = Field(default=[], max_length=2)
    either: int | str | None = None
    share: float = Field(default=0.5, ge=0, lt=1)
    named: dict[str, int] = {}


def test_a_part_of_a_schema_and_its_name() -> None:
    root = {"$defs": {"Name": {"type": "string"}}}
    assert misfit({"$ref": "#/$defs/Name"}, 3, where="name", root=root) == "name is 3, and no string"
    assert misfit({"items": {"$ref": "#/$defs/Name"}}, [3], where="names", root=root) == "names.0 is 3, and no string"


def test_what_is_drawn_from_a_schema_fits_it() -> None:
    schema, rng = json_schema(Tree), random.Random(1)
    for _ in range(100):
        assert misfit(schema, sample(schema, rng)) is None


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        ({"type": "integer"}, 1.5, "it is 1.5, and no integer"),
        ({"type": "integer"}, True, "it is True, and no integer"),
        ({"type": "number"}, "1", "it is '1', and no number"),
        ({"type": ["string", "null"]}, 1, "it is 1, and no string or null"),
        ({"enum": ["a", "b"]}, "c", "none of ['a', 'b']"),
        ({"const": 1}, 2, "it is 2, and not 1"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 1, "it is 1, which fits none of its options"),
        ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, 1, "it is 1, which is below 3"),
        ({"maximum": 3}, 4, "above 3"),
        ({"exclusiveMinimum": 3}, 3, "not above 3"),
        ({"exclusiveMaximum": 3}, 3, "not below 3"),
        ({"type": "string", "minLength": 2}, "a", "has 1 characters"),
        ({"type": "string", "pattern": "^a"}, "b", "not of the form ^a"),
        ({"type": "object", "required": ["a", "b"]}, {"a": 1}, "it has no b"),
        ({"properties": {"a": {"type": "string"}}}, {"a": 1}, "a is 1, and no string"),
        ({"type": "object", "additionalProperties": False}, {"a": 1}, "a must not be there"),
        ({"patternProperties": {"^o": {"type": "integer"}}}, {"one": "a"}, "one is 'a', and no integer"),
        ({"patternProperties": {"^o": {}}, "additionalProperties": False}, {"two": 2}, "two must not be there"),
        ({"items": {"type": "string"}}, ["a", 1], "1 is 1, and no string"),
        ({"items": {"type": "string"}}, ("a", 1), "1 is 1, and no string"),
        ({"prefixItems": [{"type": "string"}], "items": False}, ["a", 1], "1 must not be there"),
        ({"type": "array", "maxItems": 1}, [1, 2], "it has 2 items"),
        (json_schema(Tree), {"leaf": {"name": ""}}, "leaf.name has 0 characters"),
        (json_schema(Tree), {"leaf": {"name": "a"}, "more": [{}]}, "more.0 has no leaf"),
    ],
)
def test_what_does_not_fit_is_told(schema: Any, value: Any, words: str) -> None:
    found = misfit(schema, value)
    assert found is not None
    assert words in found


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (True, 1),
        ({}, object),
        ({"type": "integer"}, 2.0),
        ({"type": "number"}, 2),
        ({"$ref": "#/nowhere"}, 1),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}}}, None),
        ({"minimum": 3}, "a"),
        ({"type": "array", "items": {"type": "integer"}}, (1, 2)),
        ({"patternProperties": {"^o": {"type": "integer"}}, "additionalProperties": False}, {"one": 1}),
        ({"type": "string", "pattern": "[[a]"}, "a"),  # Python warns of it
        ({"type": "string", "pattern": "("}, "a"),
        ({"$ref": "#"}, 1),
        ({"type": "integer", "minimum": "x"}, 1),
        ({"type": [{}]}, 1),
        ({"properties": 3, "required": 3}, {"a": 1}),
    ],
)
def test_what_fits(schema: Any, value: Any) -> None:
    assert misfit(schema, value) is None
