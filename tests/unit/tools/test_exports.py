"""Tools as the APIs of models take them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from openenv import as_anthropic_tools, as_openai_tools
from openenv.errors import ConfigurationError
from openenv.tools import Tool, ToolInfo

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FORMS: list[Any] = [
    ToolInfo(name="add", description="Adds.", input_schema=SCHEMA),
    Tool("add", "Adds.", SCHEMA),
    {"name": "add", "description": "Adds.", "input_schema": SCHEMA},
    {"name": "add", "description": "Adds.", "inputSchema": SCHEMA},
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_tool_is_taken(form: Any) -> None:
    function = {"name": "add", "description": "Adds.", "parameters": SCHEMA}
    assert as_openai_tools([form]) == [{"type": "function", "function": function}]
    assert as_openai_tools([form], api="responses") == [{"type": "function", **function, "strict": False}]
    assert as_anthropic_tools([form]) == [{"name": "add", "description": "Adds.", "input_schema": SCHEMA}]


def test_a_tool_that_says_little() -> None:
    assert as_anthropic_tools([{"name": "a", "description": None, "inputSchema": {"type": "object"}}]) == [
        {"name": "a", "description": "", "input_schema": {"type": "object", "properties": {}}}
    ]


def test_a_name_that_the_api_does_not_take_is_refused_or_mapped() -> None:
    tools = [{"name": "files/read.all"}, {"name": "files_read_all"}, {"name": "x" * 100}, {"name": "x" * 99}]
    with pytest.raises(ConfigurationError, match=r"files/read\.all"):
        as_openai_tools(tools)
    names: dict[str, str] = {}
    told = [one["name"] for one in as_anthropic_tools(tools, names=names)]
    assert told == ["files_read_all_2", "files_read_all", "x" * 64, "x" * 62 + "_2"]
    assert names == {"files_read_all_2": "files/read.all", "x" * 64: "x" * 100, "x" * 62 + "_2": "x" * 99}


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two tools are named a"):
        as_openai_tools([{"name": "a"}, {"name": "a"}])


def test_an_api_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'chat' or 'responses'"):
        as_openai_tools([], api="other")  # type: ignore[arg-type]


ONE, TWO = {"type": "integer"}, {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {"type": "array", "prefixItems": [ONE, ONE], "minItems": 2, "maxItems": 2},
            {"type": "array", "prefixItems": [ONE, ONE], "minItems": 2, "maxItems": 2, "items": ONE},
        ),
        (
            {"type": "array", "prefixItems": [ONE, TWO], "items": False},
            {"type": "array", "prefixItems": [ONE, TWO], "maxItems": 2, "items": {"anyOf": [ONE, TWO]}},
        ),
        (
            {"type": "array", "prefixItems": [ONE], "items": TWO},
            {"type": "array", "prefixItems": [ONE], "items": TWO},
        ),
        (
            {"type": "array", "prefixItems": [ONE]},  # and anything after it
            {"type": "array", "prefixItems": [ONE], "items": {}},
        ),
        (
            {"type": "array", "items": [ONE, TWO], "additionalItems": False},  # up to draft 7
            {"type": "array", "prefixItems": [ONE, TWO], "maxItems": 2, "items": {"anyOf": [ONE, TWO]}},
        ),
        ({"type": ["array", "null"]}, {"type": ["array", "null"], "items": {}}),
        ({"type": "array", "items": True}, {"type": "array", "items": {}}),
        ({"type": "array", "items": {"type": "array"}}, {"type": "array", "items": {"type": "array", "items": {}}}),
        (
            {"anyOf": [{"type": "array"}, {"type": "null"}], "default": {"type": "array"}},
            {"anyOf": [{"type": "array", "items": {}}, {"type": "null"}], "default": {"type": "array"}},
        ),
    ],
)
def test_openai_is_told_the_items_of_every_array(schema: Any, expected: Any) -> None:
    """It refuses the whole request otherwise: "array schema missing items"."""
    whole = {"type": "object", "properties": {"items": schema}, "$defs": {"A": schema}}
    told = as_openai_tools([Tool("move", input_schema=whole)])[0]["function"]["parameters"]
    assert told == {"type": "object", "properties": {"items": expected}, "$defs": {"A": expected}}
    assert as_anthropic_tools([Tool("move", input_schema=whole)])[0]["input_schema"] == whole


def test_a_tuple_of_a_function_has_items() -> None:
    def move(to: tuple[int, int]) -> None: ...

    told = as_openai_tools([Tool.of(move)])[0]["function"]["parameters"]
    assert told["properties"]["to"]["items"] == {"type": "integer"}


def option(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


CLOSED = {"additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {**option(a=ONE, b=TWO), **CLOSED, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"properties": {"a": ONE, "b": TWO}, **CLOSED},
        ),
        (
            {"description": "d", "oneOf": [option("a", "b", a=ONE, b=ONE), option("b", "c", b=TWO, c=TWO)]},
            {
                "description": "d",
                "properties": {"a": ONE, "b": {"anyOf": [ONE, TWO]}, "c": TWO},
                "required": ["b"],
            },
        ),
        (
            {"type": "object", "oneOf": [{**option("a", a=ONE), **CLOSED}, {**option("a", a=ONE, b=ONE), **CLOSED}]},
            {"properties": {"a": ONE, "b": ONE}, "required": ["a"], **CLOSED},
        ),
        (
            {"anyOf": [{**option(a=ONE), **CLOSED}, option(b=ONE)]},  # the second takes more
            {"properties": {"a": ONE, "b": ONE}},
        ),
        (
            {"anyOf": [{**option(a=ONE), **CLOSED, "patternProperties": {"^x": ONE}}]},
            {"properties": {"a": ONE}},
        ),
        (
            {**option("a", a=ONE), "allOf": [option("b", a={"minimum": 1}, b=TWO), {**option(c=ONE), **CLOSED}]},
            {
                "properties": {"a": {"allOf": [ONE, {"minimum": 1}]}, "b": TWO, "c": ONE},
                "required": ["a", "b"],
                **CLOSED,
            },
        ),
        (
            {"additionalProperties": TWO, "allOf": [{**option(a=ONE), **CLOSED}]},
            {"properties": {"a": ONE}, **CLOSED},
        ),
        (
            {"anyOf": [{"additionalProperties": TWO}, {"additionalProperties": TWO}]},
            {"properties": {}, "additionalProperties": TWO},
        ),
        (
            {"anyOf": [{"type": "null"}, {"type": ["object", "null"], **option("a", a=ONE)}, False]},
            {"properties": {"a": ONE}, "required": ["a"]},
        ),
        (
            {"$defs": {"A": option("a", a=ONE), "B": {"allOf": [{"$ref": "#/$defs/A"}]}}, "$ref": "#/$defs/B"},
            {
                "$defs": {"A": option("a", a=ONE), "B": {"allOf": [{"$ref": "#/$defs/A"}]}},
                "properties": {"a": ONE},
                "required": ["a"],
            },
        ),
        (
            {"properties": {"a": ONE}, "anyOf": [{"$ref": "#"}, {"$ref": "https://elsewhere"}]},  # itself; unknown
            {"properties": {"a": ONE}},
        ),
        (
            {
                "oneOf": [
                    option("kind", kind={"const": "a", "type": "string"}),
                    option("kind", kind={"const": "b", "type": "string"}),
                ]
            },
            {"properties": {"kind": {"type": "string", "enum": ["a", "b"]}}, "required": ["kind"]},
        ),
        ({**option(a=ONE), "not": {"required": ["b"]}, "enum": [{"a": 1}]}, {"properties": {"a": ONE}}),
        ({"anyOf": [{"required": "a", "properties": 3}], "allOf": None}, {"properties": {}}),  # no schema at all
    ],
)
def test_options_at_the_top_become_one_object(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    """Both APIs refuse the whole request otherwise."""
    tool = {"name": "a", "inputSchema": schema}
    before = deepcopy(schema)
    for told in (as_anthropic_tools([tool])[0]["input_schema"], as_openai_tools([tool])[0]["function"]["parameters"]):
        assert {"required": [], **told} == {"type": "object", "required": [], **expected}
    assert schema == before


def test_what_no_object_fits_is_refused() -> None:
    for schema in ({"type": "string"}, {"anyOf": [{"type": "null"}, False]}, {"allOf": [{"type": "array"}]}):
        with pytest.raises(ConfigurationError, match="tool bad: no object fits its input schema"):
            as_anthropic_tools([{"name": "bad", "inputSchema": schema}])
