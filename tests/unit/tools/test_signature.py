"""From a function to schemas, and the check of arguments."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field

from openenv.errors import ConfigurationError
from openenv.tools import BadArguments, Signature, ToolContext, ToolResult
from openenv.tools.signature import TypeNotKnown
from openenv.types import ImageContent

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForCheckers


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    x: int
    y: int = 0


@dataclass
class Pair:
    left: int
    right: str


def typed(
    number: Annotated[int, Field(ge=1, le=9)],
    colour: Colour,
    point: Point,
    names: list[str],
    how: Literal["a", "b"] = "a",
) -> str:
    """Does it.

    It does it well.

    Args:
        number: How many,
            over two lines.
        colour (Colour): Which.

    Returns:
        What came of it.
    """
    return ""


def test_types_and_docstring_become_the_schema() -> None:
    signature = Signature.of(typed)
    assert signature.description == "Does it.\n\nIt does it well.\n\nReturns:\n    What came of it."
    schema = signature.input_schema
    assert schema["required"] == ["number", "colour", "point", "names"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["number"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
        "description": "How many, over two lines.",
    }
    assert schema["properties"]["names"] == {"type": "array", "items": {"type": "string"}}
    assert schema["properties"]["how"] == {"type": "string", "enum": ["a", "b"], "default": "a"}
    assert schema["$defs"]["Colour"] == {"type": "string", "enum": ["red", "blue"]}
    assert schema["$defs"]["Point"]["required"] == ["x"]


def test_arguments_come_as_their_types() -> None:
    given = {"number": 3, "colour": "red", "point": {"x": 1}, "names": ["a"]}
    found = Signature.of(typed).checked(given)
    assert found == {"number": 3, "colour": Colour.RED, "point": Point(x=1), "names": ["a"], "how": "a"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"number": 10}, ["number: Input should be less than or equal to 9 (got 10)", "colour: Field required"]),
        ({"number": "many"}, ["number: Input should be a valid integer", "'many'"]),
        ({"nmber": 1}, ["nmber: Extra inputs are not permitted", "Its arguments: number, colour, point, names, how."]),
        ({"point": {"x": []}}, ["point.x: Input should be a valid integer (got [])"]),
        ({"names": ["a" * 200, 1]}, ["names.1: Input should be a valid string (got 1)"]),
    ],
)
def test_what_does_not_fit_is_told(given: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(BadArguments) as raised:
        Signature.of(typed).checked(given)
    for word in words:
        assert word in str(raised.value)


def test_a_long_value_is_shortened_in_a_message() -> None:
    with pytest.raises(BadArguments) as raised:
        Signature.of(typed).checked({"number": "x" * 10_000})
    assert len(str(raised.value)) < 700


def test_the_context_is_no_argument() -> None:
    def one(path: str, context: ToolContext) -> str:
        return path

    def optional(path: str, ctx: ToolContext | None = None) -> str:
        return path

    for function, name in (one, "context"), (optional, "ctx"):
        signature = Signature.of(function)
        assert signature.context == name
        assert list(signature.input_schema["properties"]) == ["path"]


def test_names_that_pydantic_keeps_for_itself_are_free() -> None:
    def odd(model_config: int, schema: str, json: int = 1, _hidden: int = 2) -> None:
        pass

    found = Signature.of(odd).checked({"model_config": 1, "schema": "s"})
    assert found == {"model_config": 1, "schema": "s", "json": 1, "_hidden": 2}


def wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object", "properties": {"result": schema}, "required": ["result"], "x-fastmcp-wrap-result": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("hint", "schema", "wraps"),
    [
        (int, wrapped({"type": "integer"}), True),
        (list[str], wrapped({"type": "array", "items": {"type": "string"}}), True),
        (
            Annotated[list[str], Field(max_length=2)],
            wrapped({"type": "array", "items": {"type": "string"}, "maxItems": 2}),
            True,
        ),
        (
            set[str] | None,
            wrapped({"anyOf": [{"type": "array", "items": {"type": "string"}, "uniqueItems": True}, {"type": "null"}]}),
            True,
        ),
        (
            tuple[int, str],
            wrapped(
                {
                    "type": "array",
                    "prefixItems": [{"type": "integer"}, {"type": "string"}],
                    "minItems": 2,
                    "maxItems": 2,
                }
            ),
            True,
        ),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}, False),
        (
            Point,
            {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer", "default": 0}}},
            False,
        ),
        (Pair, {"type": "object", "properties": {"left": {"type": "integer"}, "right": {"type": "string"}}}, False),
        (str, None, False),
        (str | None, None, False),
        (Optional[str], None, False),  # noqa: UP045 - the older form
        (str | int, None, False),
        (Annotated[str, Field(max_length=2)], None, False),
        (None, None, False),
        (Any, None, False),
        (ToolResult, None, False),
        (ImageContent, None, False),
        (list[ImageContent], None, False),
        (list[str | ImageContent], None, False),
    ],
)
def test_what_is_returned_has_a_schema_where_programs_read_it(hint: Any, schema: Any, wraps: bool) -> None:
    def give():  # type: ignore[no-untyped-def]
        pass

    give.__annotations__ = {"return": hint}
    signature = Signature.of(give)
    found = signature.output_schema
    if schema is None:
        assert found is None
    else:
        assert found is not None
        assert {**found, "required": None} == {**schema, "required": None}
    assert signature.wraps is wraps


def test_what_is_wrapped_keeps_its_definitions() -> None:
    def give() -> list[Point]:
        return []

    schema = Signature.of(give).output_schema
    assert schema is not None
    assert schema["properties"]["result"] == {"type": "array", "items": {"$ref": "#/$defs/Point"}}
    assert "Point" in schema["$defs"]


def test_a_type_without_a_schema_is_refused() -> None:
    def bad(call: Callable[[], int]) -> None:
        pass

    with pytest.raises(ConfigurationError, match="argument call is of type Callable, which has no JSON Schema; use"):
        Signature.of(bad)


@pytest.mark.parametrize("source", ["def bad(*more): ...", "def bad(**more): ...", "def bad(a, /): ..."])
def test_arguments_without_a_name_are_refused(source: str) -> None:
    names: dict[str, Any] = {}
    exec(source, names)
    with pytest.raises(ConfigurationError, match="name every argument"):
        Signature.of(names["bad"])


class Told(typing.TypedDict):
    a: int


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic takes it")
def test_a_typed_dict_of_typing_is_refused_with_what_to_use() -> None:
    def taken(p: Told) -> None: ...
    def returned() -> list[Told]: ...

    for function, what in ((taken, "argument p"), (returned, "what it returns")):
        with pytest.raises(ConfigurationError, match=f"{what} is of a typing.TypedDict.*use typing_extensions.Typed"):
            Signature.of(function)


def test_a_type_that_is_not_known_is_told() -> None:
    def bad(much: OnlyForCheckers) -> None:
        pass

    with pytest.raises(TypeNotKnown, match="'OnlyForCheckers' is not defined; define or import the type"):
        Signature.of(bad)


def test_an_untyped_function_takes_anything() -> None:
    def free(a, b=2):  # type: ignore[no-untyped-def]
        pass

    signature = Signature.of(free)
    assert signature.input_schema["properties"] == {"a": {}, "b": {"default": 2}}
    assert signature.checked({"a": [1, {"x": None}]}) == {"a": [1, {"x": None}], "b": 2}
