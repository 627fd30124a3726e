"""The first check of arguments."""

from __future__ import annotations

from typing import Any

import pytest

from openenv.mounts.arguments import check_arguments
from openenv.tools import BadArguments

SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "share": {"type": ["number", "null"]},
        "flag": {"type": "boolean"},
        "kind": {"enum": ["a", "b"]},
        "one": {"const": 1},
        "list": {"type": "array", "items": {"type": "integer"}},
        "point": {"$ref": "#/$defs/Point"},
        "map": {"type": "object"},
        "odd": {"type": "date"},
        "any": True,
    },
    "required": ["text"],
    "$defs": {"Point": {"type": "object", "required": ["x", "y"]}},
}


@pytest.mark.parametrize(
    "given",
    [
        {"count": 3},
        {"count": 3.0},
        {"share": 1, "flag": False},
        {"share": None, "kind": "b", "one": 1},
        {"list": (1, 2), "map": {}, "point": {"x": 1, "y": 2}, "odd": object(), "any": 1, "other": 2},
    ],
)
def test_what_fits(given: dict[str, Any]) -> None:
    check_arguments(SCHEMA, {"text": "x", **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"count": 3.5}, "count is 3.5, and no integer"),
        ({"count": float("inf")}, "count is inf, and no integer"),
        ({"count": True}, "count is True, and no integer"),
        ({"flag": 1}, "flag is 1, and no boolean"),
        ({"share": "x"}, "share is 'x', and no number or null"),
        ({"kind": "c"}, "kind is 'c', and none of ['a', 'b']"),
        ({"one": 2}, "one is 2, and not 1"),
        ({"list": {}}, "list is {}, and no array"),
        ({"list": [1, "a"]}, "list.1 is 'a', and no integer"),
        ({"map": []}, "map is [], and no object"),
        ({"point": {"x": 1}}, "point has no y"),
        ({"text": None, "map": 1}, "text is None, and no string; map is 1, and no object. Its arguments: text"),
    ],
)
def test_what_does_not_fit(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadArguments) as bad:
        check_arguments(SCHEMA, {"text": "x", **given})
    assert said in str(bad.value)


def test_what_is_missing_or_not_known() -> None:
    closed = {**SCHEMA, "additionalProperties": False}
    with pytest.raises(BadArguments, match=r"text: Field required; other: there is no such argument\."):
        check_arguments(closed, {"other": 1})
    check_arguments({**closed, "patternProperties": {"o.*": {}}}, {"text": "x", "other": 1})
    with pytest.raises(BadArguments, match=r"Its arguments: none\."):
        check_arguments({"additionalProperties": False}, {"a": 1})
    check_arguments({}, {"a": 1})


def test_a_schema_that_is_none_refuses_nothing() -> None:
    odd = {"properties": {"a": {"minimum": "x"}, "b": {"type": [{}]}, "c": {"enum": 3}}, "required": 3}
    check_arguments(odd, {"a": 1, "b": 1, "c": 1})
    with pytest.raises(BadArguments, match="d is 1, and no string"):
        check_arguments({"properties": {**odd["properties"], "d": {"type": "string"}}}, {"a": 1, "d": 1})
