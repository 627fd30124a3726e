"""Arguments that are repeated in headers: written by a client, checked by a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openenv.mcp.headers import PostHeaders
from openenv.mcp.messages import McpError
from openenv.mcp.param_headers import check_params, decoded_value, encoded_value, param_headers, wrong_annotation

SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
        "plain": {"type": "string"},
        "odd": True,
        "deep": {"type": "object", "properties": {"id": {"type": "string", "x-mcp-header": "Deep-Id"}}},
    },
}


@given(st.text())
def test_a_text_comes_back(text: str) -> None:
    value = encoded_value(text)
    assert value.isascii()
    assert value == value.strip()
    assert decoded_value(value) == text


@pytest.mark.parametrize("text", ["Hello", "a b", "=?base64?SGVsbG8=", "SGVsbG8=", ""])
def test_what_is_safe_stays_as_it_is(text: str) -> None:
    assert encoded_value(text) == text == decoded_value(text)


@pytest.mark.parametrize("text", ["é", " a", "a\n", "=?base64?SGVsbG8=?="])
def test_what_is_not_safe_is_wrapped(text: str) -> None:
    assert encoded_value(text).startswith("=?base64?")


@pytest.mark.parametrize("payload", ["SGVsbG8", "SGVs!!!bG8=", "SGVsbG9=", "/w==", "é"])
def test_what_is_no_base64_is_nothing(payload: str) -> None:
    assert decoded_value(f"=?base64?{payload}?=") is None
    assert decoded_value("=?base64?SGVsbG8=?=") == "Hello"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, {}),
        ({"region": None, "plain": "x"}, {}),
        ({"region": "eu", "count": 3, "dry": True}, {"Region": "eu", "Count": "3", "Dry": "true"}),
        ({"dry": False, "count": -1}, {"Dry": "false", "Count": "-1"}),
        ({"region": "é"}, {"Region": "=?base64?w6k=?="}),
        ({"region": ["eu"]}, {}),
        ({"deep": {"id": "7"}}, {"Deep-Id": "7"}),
        ({"deep": "flat"}, {}),
    ],
)
def test_what_a_client_writes_a_server_takes(arguments: dict[str, Any], expected: dict[str, str]) -> None:
    written = param_headers(SCHEMA, arguments)
    assert dict(written) == {f"Mcp-Param-{name}": value for name, value in expected.items()}
    read = PostHeaders.read([(name.encode(), value.encode()) for name, value in written])
    check_params(read.params, SCHEMA, arguments)


@pytest.mark.parametrize(
    ("arguments", "params"),
    [
        ({"count": 42}, {"count": "42.0"}),
        ({"count": 42.0}, {"count": "42"}),
        ({"count": 2**70}, {"count": str(2**70)}),
        ({"count": 1.5}, {"count": "1.5"}),
        ({"count": "7"}, {"count": "7"}),
        ({"count": True}, {"count": "true"}),
        ({}, {"other": "x"}),
    ],
)
def test_what_says_the_same(arguments: dict[str, Any], params: dict[str, str]) -> None:
    check_params(params, SCHEMA, arguments)


@pytest.mark.parametrize(
    ("arguments", "params", "said"),
    [
        ({"region": "eu"}, {}, "Region header is missing"),
        ({"region": "eu"}, {"region": "us"}, "Region header does not match"),
        ({"region": "eu"}, {"region": "EU"}, "Region header does not match"),
        ({}, {"region": "eu"}, "Region header does not match"),
        ({"region": None}, {"region": "eu"}, "Region header does not match"),
        ({"region": ["eu"]}, {"region": "eu"}, "Region header does not match"),
        ({"region": "Hello"}, {"region": "=?base64?SGVsbG8?="}, "Region header does not match"),
        ({"count": 42}, {"count": "43"}, "Count header does not match"),
        ({"count": 42}, {"count": "42.5"}, "Count header does not match"),
        ({"count": 42}, {"count": "4.2e1"}, "Count header does not match"),
        ({"dry": True}, {"dry": "True"}, "Dry header does not match"),
        ({"deep": {"id": "7"}}, {}, "'deep.id' is there"),
    ],
)
def test_what_says_something_else(arguments: dict[str, Any], params: dict[str, str], said: str) -> None:
    with pytest.raises(McpError, match=said) as caught:
        check_params(params, SCHEMA, arguments, 5)
    assert (caught.value.code, caught.value.http_status, caught.value.id) == (-32020, 400, 5)


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"a": {"type": "string", "x-mcp-header": ""}}, "a: .* token"),
        ({"a": {"type": "string", "x-mcp-header": "no space"}}, "a: .* token"),
        ({"a": {"type": "string", "x-mcp-header": 3}}, "a: .* token"),
        ({"a": {"type": "number", "x-mcp-header": "A"}}, "a: .* integer"),
        ({"a": {"x-mcp-header": "A"}}, "a: .* integer"),
        ({"a": {"type": ["string"], "x-mcp-header": "A"}}, "a: .* integer"),
        (
            {
                "a": {"type": "string", "x-mcp-header": "A"},
                "b": {"properties": {"c": {"type": "string", "x-mcp-header": "a"}}},
            },
            "b.c: .* twice",
        ),
    ],
)
def test_wrong_annotations(properties: dict[str, Any], said: str) -> None:
    schema = {"properties": properties}
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(wrong_annotation(schema))
    assert param_headers(schema, {"a": "x"}) == []
    check_params({"a": "other"}, schema, {"a": "x"})


@pytest.mark.parametrize("schema", [SCHEMA, {}, {"properties": []}, {"x-mcp-header": "Root"}])
def test_right_annotations(schema: dict[str, Any]) -> None:
    assert wrong_annotation(schema) is None
