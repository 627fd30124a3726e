"""The JSON-RPC of older clients. What is called observed was answered by the PyPI package ``openenv`` 0.10.0."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openenv.mcp import legacy
from openenv.mcp.headers import PostHeaders
from openenv.mcp.messages import McpError

ADD_SCHEMA = {
    "additionalProperties": False,
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
    "type": "object",
}
OBSERVED_TOOL = {
    "name": "add",
    "title": None,
    "description": "Add two numbers.",
    "inputSchema": ADD_SCHEMA,
    "outputSchema": {"properties": {"result": {"type": "integer"}}, "required": ["result"], "type": "object"},
    "icons": None,
    "annotations": None,
    "meta": {"fastmcp": {"tags": []}},
    "execution": None,
}
OBSERVED_BARE_TOOL = {
    "name": "nothing",
    "title": None,
    "description": None,
    "inputSchema": {"additionalProperties": False, "properties": {}, "type": "object"},
    "outputSchema": None,
    "icons": None,
    "annotations": None,
    "meta": {"fastmcp": {"tags": []}},
    "execution": None,
}
OBSERVED_ADD = {
    "jsonrpc": "2.0",
    "id": 1,
    "result": {
        "content": [{"type": "text", "text": "3", "annotations": None, "meta": None}],
        "structured_content": {"result": 3},
        "meta": {"fastmcp": {"wrap_result": True}},
        "data": 3,
        "is_error": False,
    },
}
OBSERVED_NOTHING = {
    "jsonrpc": "2.0",
    "id": 1,
    "result": {"content": [], "structured_content": None, "meta": None, "data": None, "is_error": False},
}
OBSERVED_TABLE = {
    "jsonrpc": "2.0",
    "id": 1,
    "result": {
        "content": [{"type": "text", "text": '{"a":[1,2],"b":null}', "annotations": None, "meta": None}],
        "structured_content": {"a": [1, 2], "b": None},
        "meta": None,
        "data": {"a": [1, 2], "b": None},
        "is_error": False,
    },
}


def observed_error(code: int, message: str, id: int | str | None = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message, "data": None}}


def call(tool_name: str, **result: Any) -> dict[str, Any]:
    given = {"content": [], "structured_content": None, "meta": None, "data": None, "is_error": False, **result}
    return {"tool_name": tool_name, "result": given, "error": None, "reward": 1.0, "done": False}


def failed(kind: str, message: str) -> dict[str, Any]:
    return {"tool_name": "x", "result": None, "error": {"error_type": kind, "message": message}}


def told(method: object = "tools/list", **fields: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, **fields}


def exactly(found: dict[str, Any], observed: dict[str, Any]) -> None:
    """The same text, so in the same order."""
    assert json.dumps(found) == json.dumps(observed)


def test_tools_as_observed() -> None:
    def without_blanks(tool: dict[str, Any]) -> dict[str, Any]:
        found = {key: value for key, value in tool.items() if value is not None and key != "meta"}
        return {**found, "_meta": tool["meta"]}

    observed = [OBSERVED_TOOL, OBSERVED_BARE_TOOL]
    exactly(legacy.tools_result([without_blanks(tool) for tool in observed]), {"tools": observed})


def test_calls_as_observed() -> None:
    add = call(
        "add",
        content=[{"type": "text", "text": "3"}],
        structured_content={"result": 3},
        meta={"fastmcp": {"wrap_result": True}},
        data=3,
    )
    exactly(legacy.call_answer(1, add), OBSERVED_ADD)
    exactly(legacy.call_answer(1, call("nothing")), OBSERVED_NOTHING)
    table = {"a": [1, 2], "b": None}
    text = [{"type": "text", "text": '{"a":[1,2],"b":null}'}]
    exactly(legacy.call_answer(1, call("table", content=text, structured_content=table, data=table)), OBSERVED_TABLE)


def test_blocks_keep_what_they_have() -> None:
    block = {
        "type": "image",
        "data": "aGk=",
        "mimeType": "image/png",
        "annotations": {"priority": 1},
        "_meta": {"a": 1},
    }
    found = legacy.call_answer(1, call("x", content=[block]))["result"]["content"]
    assert found == [
        {"type": "image", "data": "aGk=", "mimeType": "image/png", "annotations": {"priority": 1}, "meta": {"a": 1}}
    ]


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        (failed("tool_not_found", "Unknown tool: 'nope'"), "Unknown tool: 'nope'"),
        (failed("invalid_args", "a: must be an integer"), "a: must be an integer"),
        (failed("execution_error", "Error calling tool 'boom': boom"), "Error calling tool 'boom': boom"),
        (call("x", is_error=True, content=[{"type": "text", "text": "no"}, {"type": "image"}]), "no"),
        (call("x", is_error=True), "Error calling tool 'x'"),
    ],
)
def test_failed_calls_as_observed(observation: dict[str, Any], message: str) -> None:
    exactly(legacy.call_answer(1, observation), observed_error(-32603, message))


@pytest.mark.parametrize(
    ("message", "observed"),
    [
        (b"{nope", observed_error(-32700, "Parse error", None)),
        (b"", observed_error(-32700, "Parse error", None)),
        (b"\xff", observed_error(-32700, "Parse error", None)),
        (b"[]", observed_error(-32700, "Parse error", None)),
        (b"3", observed_error(-32700, "Parse error", None)),
        (told("nope"), observed_error(-32601, "Method not found: nope")),
        (told("initialize", params={}), observed_error(-32601, "Method not found: initialize")),
        (told("nope", id="abc"), observed_error(-32601, "Method not found: nope", "abc")),
        ({"jsonrpc": "2.0", "method": "nope"}, observed_error(-32601, "Method not found: nope", None)),
        (told("tools/call"), observed_error(-32602, "Missing 'name' in params")),
        (told("tools/call", params={"arguments": {}}), observed_error(-32602, "Missing 'name' in params")),
        (told("openenv/session/close"), observed_error(-32602, "Invalid params - 'session_id' is required")),
        (told("openenv/session/close", params={}), observed_error(-32602, "Invalid params - 'session_id' is required")),
    ],
)
def test_refusals_as_observed(message: bytes | dict[str, Any], observed: dict[str, Any]) -> None:
    with pytest.raises(McpError) as caught:
        legacy.read_legacy(message)
    exactly(legacy.refusal(caught.value), observed)
    assert caught.value.http_status == 200


@pytest.mark.parametrize(
    ("message", "code", "id"),
    [
        ({"id": 1, "method": "tools/list"}, -32600, None),
        ({"jsonrpc": "1.0", "id": 1, "method": "tools/list"}, -32600, None),
        ({"jsonrpc": "2.0", "id": 1}, -32600, None),
        (told("tools/list", params=[1]), -32600, None),
        (told("tools/list", id=1.5), -32600, None),
        (told("tools/list", id=True), -32600, None),
        (told("tools/call", params={"name": "x", "arguments": [1]}), -32603, 1),
    ],
)
def test_refusals_whose_words_are_ours(message: dict[str, Any], code: int, id: int | None) -> None:
    with pytest.raises(McpError) as caught:
        legacy.read_legacy(message)
    assert (caught.value.code, caught.value.id) == (code, id)


@pytest.mark.parametrize("id", [1, "abc", None])
def test_a_request(id: int | str | None) -> None:
    params = {"name": "add", "arguments": {"a": 1}, "session_id": "s"}
    message = told("tools/call", id=id, params=params)
    for form in (message, json.dumps(message), json.dumps(message).encode()):
        found = legacy.read_legacy(form)
        assert found == legacy.LegacyRequest(id, "tools/call", params)
        assert found.session_id == "s"


@pytest.mark.parametrize("params", [None, {}, {"session_id": ""}, {"session_id": 3}])
def test_a_request_need_not_name_a_session(params: dict[str, Any] | None) -> None:
    assert legacy.read_legacy(told(params=params)).session_id is None


def test_sessions_as_observed() -> None:
    created = legacy.answer(1, legacy.created_result("ad98"))
    exactly(created, {"jsonrpc": "2.0", "id": 1, "result": {"session_id": "ad98"}})
    closed = legacy.answer(1, legacy.closed_result("ad98"))
    exactly(closed, {"jsonrpc": "2.0", "id": 1, "result": {"session_id": "ad98", "closed": True}})
    request = legacy.read_legacy(told("tools/list", params={"session_id": "zzz"}))
    exactly(legacy.refusal(legacy.unknown_session(request)), observed_error(-32602, "Unknown session_id: zzz"))


def test_a_full_server_as_observed() -> None:
    data = {"active_sessions": 1, "max_sessions": 1}
    said = "Server at capacity: 1/1 sessions active. Cannot accept new connections."
    found = legacy.refusal(McpError(-32000, said, data, id=1))
    exactly(found, {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": said, "data": data}})


PLAIN = PostHeaders(content_type="application/json", accept=("*/*",))


@pytest.mark.parametrize("method", sorted(legacy.METHODS))
@pytest.mark.parametrize("headers", [PLAIN, PostHeaders(), PostHeaders(accept=("application/json",))])
def test_an_older_client_is_known_by_its_shape(method: str, headers: PostHeaders) -> None:
    assert legacy.is_legacy(headers, json.dumps(told(method, params={"name": "x"})).encode())
    assert legacy.is_legacy(headers, json.dumps({"jsonrpc": "2.0", "method": method}).encode())
    assert legacy.is_legacy(headers, json.dumps(told(method, params=[])).encode())


@pytest.mark.parametrize(
    "headers",
    [
        PostHeaders(session_id="s"),
        PostHeaders(version="2025-11-25"),
        PostHeaders(method="tools/list"),
        PostHeaders(last_event_id="s.1"),
        PostHeaders(accept=("application/json", "text/event-stream")),
    ],
)
def test_an_mcp_client_is_known_by_its_headers(headers: PostHeaders) -> None:
    assert not legacy.is_legacy(headers, json.dumps(told()).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{nope",
        b"3",
        b"[" * 100_000,
        json.dumps([told()]).encode(),
        json.dumps(told("initialize")).encode(),
        json.dumps(told("resources/list")).encode(),
        json.dumps(told(["tools/list"])).encode(),
        json.dumps(told({})).encode(),
        json.dumps(told(params={"_meta": {}})).encode(),
    ],
)
def test_anything_else_is_not_an_older_client(body: bytes) -> None:
    assert not legacy.is_legacy(PLAIN, body)
