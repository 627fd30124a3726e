"""JSON-RPC messages: what is read, what is refused, and what goes out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from openenv.mcp import messages
from openenv.mcp.messages import McpError, Notification, Request, Response


def told(**fields: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **fields}).encode()


@pytest.mark.parametrize("id", [0, 1, -5, 2**60, "", "a"])
def test_a_request(id: int | str) -> None:
    found = messages.read(told(id=id, method="tools/list", params={"cursor": "x"}))
    assert found == Request(id, "tools/list", {"cursor": "x"})


@pytest.mark.parametrize("params", [{}, {"params": None}, {"params": {}}])
def test_parameters_may_be_missing(params: dict[str, Any]) -> None:
    assert messages.read(told(id=1, method="ping", **params)) == Request(1, "ping", {})
    assert messages.read(told(method="ping", **params)) == Notification("ping", {})


def test_text_is_read_like_bytes() -> None:
    assert messages.read('{"jsonrpc":"2.0","method":"m"}') == Notification("m", {})


@pytest.mark.parametrize("meta", [{}, {"_meta": None}, {"_meta": 3}, {"_meta": {}}])
def test_without_meta_there_is_none(meta: dict[str, Any]) -> None:
    assert Request(1, "m", meta).meta == {}


def test_meta() -> None:
    assert Request(1, "m", {"_meta": {"progressToken": 4}}).meta == {"progressToken": 4}


def test_a_response() -> None:
    assert messages.read(told(id=1, result={"a": 1})) == Response(1, {"a": 1})


@pytest.mark.parametrize("id", [1, "a", None])
def test_a_response_with_an_error(id: int | str | None) -> None:
    found = messages.read(told(id=id, error={"code": -5, "message": "no", "data": [1]}))
    assert isinstance(found, Response)
    assert found.error is not None
    assert (found.id, found.result) == (id, None)
    assert (found.error.code, found.error.message, found.error.data, found.error.id) == (-5, "no", [1], id)


def test_an_error_without_a_message() -> None:
    found = messages.read(told(id=1, error={"code": -5}))
    assert isinstance(found, Response)
    assert str(found.error) == "no message"


@pytest.mark.parametrize(
    ("body", "code", "id"),
    [
        (b"", -32700, None),
        (b"{nope", -32700, None),
        (b"\xff\xfe", -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}', -32700, None),
        (b"[" * 100_000, -32700, None),
        (b"[]", -32600, None),
        (told(id=1, method="m").join([b"[", b"]"]), -32600, None),
        (b"3", -32600, None),
        (b"null", -32600, None),
        (b"{}", -32600, None),
        (b'{"id":7,"method":"m"}', -32600, 7),
        (b'{"jsonrpc":"1.0","id":"x","method":"m"}', -32600, "x"),
        (told(id=1), -32600, 1),
        (told(id=1, method=3), -32600, 1),
        (told(id=None, method="m"), -32600, None),
        (told(id=True, method="m"), -32600, None),
        (told(id=1.5, method="m"), -32600, None),
        (told(id=[], method="m"), -32600, None),
        (told(id=1, method="m", params=[1]), -32602, 1),
        (told(id=1, method="m", params="x"), -32602, 1),
        (told(method="m", params="x"), -32602, None),
        (told(id=1, result=3), -32600, 1),
        (told(result={}), -32600, None),
        (told(id=1, error="x"), -32600, 1),
        (told(id=1, error={"code": "x"}), -32600, 1),
    ],
)
def test_what_is_no_message(body: bytes, code: int, id: int | str | None) -> None:
    with pytest.raises(McpError) as caught:
        messages.read(body)
    assert (caught.value.code, caught.value.id, caught.value.http_status) == (code, id, 400)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
ENVELOPE = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | JSON,
        "id": JSON,
        "method": st.sampled_from(["ping", "tools/call"]) | JSON,
        "params": JSON,
        "result": JSON,
        "error": JSON | st.fixed_dictionaries({"code": JSON, "message": JSON}),
    },
)


@given(st.binary(max_size=200) | ENVELOPE.map(lambda found: json.dumps(found).encode()))
@example(b'{"jsonrpc":"2.0","id":1e999,"method":"m"}')
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_nothing_but_mcp_errors_comes_out(body: bytes) -> None:
    found: messages.Message | McpError
    try:
        found = messages.read(body)
    except McpError as problem:
        found = problem
    if isinstance(found, McpError):
        assert json.loads(messages.error_bytes(found.id, found))["error"]["code"] == found.code


def test_what_goes_out() -> None:
    assert messages.request_bytes("a", "m", {"x": 1}) == b'{"jsonrpc":"2.0","id":"a","method":"m","params":{"x":1}}'
    assert messages.request_bytes(1, "m") == b'{"jsonrpc":"2.0","id":1,"method":"m"}'
    assert messages.notification_bytes("m") == b'{"jsonrpc":"2.0","method":"m"}'
    assert messages.notification_bytes("m", {}) == b'{"jsonrpc":"2.0","method":"m","params":{}}'
    assert messages.result_bytes(1, {}) == b'{"jsonrpc":"2.0","id":1,"result":{}}'


def test_an_error_that_goes_out() -> None:
    error = McpError(-1, "no")
    assert messages.error_bytes(None, error) == b'{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"no"}}'
    found = json.loads(messages.error_bytes(2, McpError(-1, "no", {"uri": "x"})))
    assert found == {"jsonrpc": "2.0", "id": 2, "error": {"code": -1, "message": "no", "data": {"uri": "x"}}}


class Odd:
    """Has no form in JSON."""


def deep() -> Any:
    found: list[Any] = []
    for _ in range(100_000):
        found = [found]
    return found


@pytest.mark.parametrize("value", [Odd(), {1: Odd()}, 1j, "\ud800", deep()], ids=range(5))
def test_a_result_without_a_form_is_an_error(value: Any) -> None:
    with pytest.raises(McpError, match="form in JSON") as caught:
        messages.result_bytes(9, {"x": value})
    assert (caught.value.code, caught.value.id, caught.value.http_status) == (-32603, 9, 200)


def test_an_error_is_told_whatever_it_holds() -> None:
    found = json.loads(messages.error_bytes(1, McpError(-1, "half \ud800", Odd())))
    assert found == {"jsonrpc": "2.0", "id": 1, "error": {"code": -1, "message": "half ?"}}


@pytest.mark.parametrize(
    ("code", "number", "status"),
    [
        (messages.PARSE_ERROR, -32700, 400),
        (messages.INVALID_REQUEST, -32600, 400),
        (messages.METHOD_NOT_FOUND, -32601, 404),
        (messages.INVALID_PARAMS, -32602, 400),
        (messages.INTERNAL_ERROR, -32603, 200),
        (messages.HEADER_MISMATCH, -32020, 400),
        (messages.MISSING_CAPABILITY, -32021, 400),
        (messages.UNSUPPORTED_VERSION, -32022, 400),
        (messages.SESSION_NOT_FOUND, -32001, 200),
        (messages.RESOURCE_NOT_FOUND, -32002, 200),
    ],
)
def test_codes_and_their_status_in_the_stateless_era(code: int, number: int, status: int) -> None:
    assert code == number
    assert messages.status_of(code) == status


@pytest.mark.parametrize("body", [b"[]", b" \r\n\t[{}]", b"[nope"])
def test_an_array_is_known_by_how_it_begins(body: bytes) -> None:
    assert messages.is_batch(body)


@pytest.mark.parametrize("body", [b"", b" ", b"{}", b'{"a": []}', b'"["', b"nope ["])
def test_all_else_is_no_array(body: bytes) -> None:
    assert not messages.is_batch(body)


def test_the_messages_of_an_array_are_read_one_by_one() -> None:
    parts = [told(id=1, method="ping"), b"3", told(method="n"), told(id="x", params={}), told(id=2, result={}), b"[]"]
    first, number, second, nameless, third, array = messages.read_batch(b"[%b]" % b",".join(parts))
    assert (first, second, third) == (Request(1, "ping"), Notification("n"), Response(2, {}))
    for wrong, id in ((number, None), (nameless, "x"), (array, None)):
        assert isinstance(wrong, McpError)
        assert (wrong.code, wrong.id) == (-32600, id)


@pytest.mark.parametrize(
    ("body", "code"), [(b"[]", -32600), (b"{}", -32600), (b"[{}", -32700), (b"[%b]" % b",".join([b"{}"] * 101), -32600)]
)
def test_arrays_that_are_refused_as_a_whole(body: bytes, code: int) -> None:
    with pytest.raises(McpError) as caught:
        messages.read_batch(body)
    assert (caught.value.code, caught.value.id, caught.value.http_status) == (code, None, 400)


def test_an_array_of_as_many_as_there_may_be() -> None:
    assert len(messages.read_batch(b"[%b]" % b",".join([told(method="n")] * 100))) == messages.MOST_IN_BATCH
