"""What tools return, as content, structured value and data."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, Field, TypeAdapter
from pydantic.dataclasses import dataclass as pydantic_dataclass

from openenv.tools import NoJSONForm, ToolResult, block_of, result_of
from openenv.types import AudioContent, FileContent, ImageContent, TextContent


class Point(BaseModel):
    x: int


@dataclass
class Pair:
    left: int


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.mark.parametrize(
    ("returned", "has_schema", "wraps", "expected"),
    [
        ("hi", False, False, ([text("hi")], None, "hi")),
        (None, False, False, ([], None, None)),
        (3, False, False, ([text("3")], None, 3)),
        (3, True, True, ([text("3")], {"result": 3}, 3)),
        ("hi", True, True, ([text("hi")], {"result": "hi"}, "hi")),
        (None, True, True, ([text("null")], {"result": None}, None)),
        ({"a": 1}, False, False, ([text('{"a":1}')], {"a": 1}, {"a": 1})),
        (Point(x=1), True, False, ([text('{"x":1}')], {"x": 1}, {"x": 1})),
        (Pair(left=1), True, False, ([text('{"left":1}')], {"left": 1}, {"left": 1})),
        ([Point(x=1)], True, True, ([text('[{"x":1}]')], {"result": [{"x": 1}]}, [{"x": 1}])),
        (date(2026, 1, 2), True, True, ([text("2026-01-02")], {"result": "2026-01-02"}, "2026-01-02")),
        (float("nan"), True, True, ([text("null")], {"result": None}, None)),
    ],
)
def test_a_value_is_told_three_times(returned: Any, has_schema: bool, wraps: bool, expected: Any) -> None:
    content, structured, data = expected
    assert result_of(returned, has_schema=has_schema, wraps=wraps) == {
        "content": content,
        "structured_content": structured,
        "meta": None,
        "data": data,
        "is_error": False,
    }


def test_an_image_is_a_block() -> None:
    image = ImageContent(data=PNG)
    block = {"type": "image", "data": base64.b64encode(PNG).decode(), "mimeType": "image/png"}
    assert result_of(image, has_schema=False, wraps=False)["content"] == [block]
    both = result_of(["look", image], has_schema=False, wraps=False)
    assert both["content"] == [text("look"), block]
    assert both["structured_content"] is None


def test_more_can_be_said() -> None:
    result = result_of(
        ToolResult([TextContent(text="no")], {"a": 1}, is_error=True, meta={"m": 1}), has_schema=False, wraps=False
    )
    assert result == {
        "content": [text("no")],
        "structured_content": {"a": 1},
        "meta": {"m": 1},
        "data": {"a": 1},
        "is_error": True,
    }


class Priced(BaseModel):
    unit_price: int = Field(alias="unitPrice")


@pydantic_dataclass
class Sold:
    unit_price: int = Field(alias="unitPrice")


@pytest.mark.parametrize("value", [Priced(unitPrice=3), Sold(unitPrice=3)])
def test_fields_have_the_names_that_their_schema_has(value: Any) -> None:
    result = result_of(value, has_schema=True, wraps=False)
    assert result["structured_content"] == {"unitPrice": 3}
    assert list(TypeAdapter(type(value)).json_schema(mode="serialization")["properties"]) == ["unitPrice"]
    within = result_of([value], has_schema=True, wraps=True)
    assert within["structured_content"] == {"result": [{"unitPrice": 3}]}


@pytest.mark.parametrize("content", ["hello", TextContent(text="hello"), {"type": "text", "text": "hello"}])
def test_content_may_be_one_block(content: Any) -> None:
    assert result_of(ToolResult(content), has_schema=False, wraps=False)["content"] == [text("hello")]


def test_structured_content_is_an_object() -> None:
    made = ToolResult(["x"], structured_content=[1])  # type: ignore[arg-type]
    with pytest.raises(NoJSONForm, match="structured_content of type list, which is no object; write structured_cont"):
        result_of(made, has_schema=False, wraps=False)
    model: Any = ToolResult(["x"], structured_content=Point(x=1))  # type: ignore[arg-type]
    assert result_of(model, has_schema=False, wraps=False)["structured_content"] == {"x": 1}


def test_a_text_that_is_an_enum_is_a_plain_text() -> None:
    class Colour(StrEnum):
        RED = "red"

    result = result_of(Colour.RED, has_schema=False, wraps=False)
    assert result["content"] == [text("red")]
    assert type(result["data"]) is str


@pytest.mark.parametrize("value", [object(), {"a": object()}, lambda: 1, [{1: object()}]])
def test_what_has_no_json_form_is_refused(value: Any) -> None:
    with pytest.raises(NoJSONForm, match="no JSON form"):
        result_of(value, has_schema=False, wraps=False)


@pytest.mark.parametrize("value", ["\ud800", {"a": "\ud800"}])
def test_half_a_character_is_refused(value: Any) -> None:
    with pytest.raises(NoJSONForm, match="surrogates not allowed"):
        result_of(value, has_schema=False, wraps=False)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (np.zeros((1, 2)), [[0.0, 0.0]]),
        (np.int64(3), 3),
        ({"board": np.eye(1), "won": np.bool_(True)}, {"board": [[1.0]], "won": True}),
    ],
)
def test_arrays_are_lists(value: Any, data: Any) -> None:
    assert result_of(value, has_schema=False, wraps=False)["data"] == data


def test_what_has_no_json_form_is_told_what_to_return() -> None:
    with pytest.raises(NoJSONForm, match="for bytes and pictures a FileContent or ImageContent, no object"):
        result_of(object(), has_schema=False, wraps=False)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NoJSONForm):
        result_of(value, has_schema=False, wraps=False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", text("a")),
        (TextContent(text="a"), text("a")),
        (
            AudioContent(data=b"RIFF", mime_type="audio/wav"),
            {"type": "audio", "data": "UklGRg==", "mimeType": "audio/wav"},
        ),
        (
            FileContent(data=b"abc", mime_type="text/csv", name="a.csv"),
            {"type": "resource", "resource": {"uri": "file:///a.csv", "mimeType": "text/csv", "text": "abc"}},
        ),
        (
            FileContent(data=b"\xff", mime_type="text/csv", name="a.csv"),
            {"type": "resource", "resource": {"uri": "file:///a.csv", "mimeType": "text/csv", "blob": "/w=="}},
        ),
        (
            FileContent(url="https://a.example/b", mime_type="application/pdf", name="b"),
            {"type": "resource_link", "uri": "https://a.example/b", "name": "b", "mimeType": "application/pdf"},
        ),
        ({"type": "text", "text": "a", "annotations": {"priority": 1}}, {**text("a"), "annotations": {"priority": 1}}),
        ({"no": "block"}, text('{"no":"block"}')),
    ],
)
def test_blocks(value: Any, expected: Any) -> None:
    assert block_of(value) == expected
