"""An MCP request is forwarded to the worker of the session that its id, its token or its body names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openenv.fleet.mcp_route import McpTarget, mcp_target
from openenv.server.exchange import Request

_INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}
_LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {}}}


def _target(body: Any, **headers: str) -> McpTarget:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was read already")

    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return mcp_target(Request({"headers": pairs}, receive, "/mcp", ""), raw)


def test_an_mcp_session_id_names_its_session() -> None:
    assert _target(_LIST, mcp_session_id="1-3fa9.nonce.proof") == McpTarget("1-3fa9")


def test_an_agents_token_names_its_session_unless_the_mcp_session_does() -> None:
    assert _target(_LIST, authorization="Bearer 1-3fa9.1.mac") == McpTarget("1-3fa9")
    assert _target(_LIST, authorization="Bearer 1-3fa9.1.mac", mcp_session_id="0-1.n.p") == McpTarget("0-1")


def test_clients_of_0_10_name_a_session_in_the_body() -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "add", "session_id": "1-3fa9"}}
    assert _target(body) == McpTarget("1-3fa9")


@pytest.mark.parametrize("method", ["initialize", "openenv/session/create"])
def test_a_session_is_opened_where_there_is_place(method: str) -> None:
    assert _target({**_INITIALIZE, "method": method}) == McpTarget(is_new=True)


def test_a_token_that_is_no_agents_stands_for_its_client_where_each_request_stands_alone() -> None:
    first = _target(_LIST, authorization="Bearer mine", mcp_protocol_version="2026-07-28")
    again = _target(_LIST, authorization="bearer  mine", mcp_protocol_version="2026-07-28")
    other = _target(_LIST, authorization="Bearer other", mcp_protocol_version="2026-07-28")
    assert first == again != other
    assert first.client is not None
    assert _target(_LIST, authorization="Basic mine", mcp_protocol_version="2026-07-28") == McpTarget()


def test_a_token_of_three_parts_that_is_no_agents_is_that_of_its_client() -> None:
    token = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"  # such as those that proxies give
    found = _target(_LIST, authorization=token, mcp_protocol_version="2026-07-28")
    assert found.session == ""
    assert found.client is not None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"method": 5}', b'{"params": {"session_id": 5}}', b"\xff"])
def test_what_cannot_be_read_is_for_whoever_says_so(body: bytes) -> None:
    assert _target(body) == McpTarget()
