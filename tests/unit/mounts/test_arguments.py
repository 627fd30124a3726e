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
        "list": {"type": "array"},
        "map": {"type": "object"},
        "odd": {"type": "date"},
        "any": True,
    },
    "required": ["text"],
}


@pytest.mark.parametrize(
    "given",
    [
        {"count": 3},
        {"count": 3.0},
        {"share": 1, "flag": False},
        {"share": None, "kind": "b", "one": 1},
        {"list": [], "map": {}, "odd": object(), "any": 1, "other": 2},
    ],
)
def test_what_fits(given: dict[str, Any]) -> None:
    check_arguments(SCHEMA, {"text": "x", **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"count": 3.5}, "count: must be integer (got 3.5)"),
        ({"count": float("inf")}, "count: must be integer (got inf)"),
        ({"count": True}, "count: must be integer (got True)"),
        ({"flag": 1}, "flag: must be boolean"),
        ({"share": "x"}, "share: must be number or null"),
        ({"kind": "c"}, "kind: must be one of 'a', 'b' (got 'c')"),
        ({"one": 2}, "one: must be 1"),
        ({"list": {}}, "list: must be array"),
        ({"map": []}, "map: must be object"),
        ({"text": None, "map": 1}, "text: must be string (got None); map: must be object (got 1). Its arguments: text"),
        ({"text": ["x" * 100]}, "...)"),
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
