"""The stateless era: what a request has to say of itself, and what its answer says beside the result."""

from __future__ import annotations

from typing import Any

import pytest

from openenv.mcp import stateless
from openenv.mcp.headers import PostHeaders
from openenv.mcp.messages import McpError, Request
from openenv.mcp.stateless import Envelope
from openenv.mcp.versions import SUPPORTED

KEY = "io.modelcontextprotocol/"
META = {f"{KEY}protocolVersion": "2026-07-28", f"{KEY}clientCapabilities": {}}
SERVER = {"name": "env", "version": "1"}


def request(meta: Any = None, method: str = "tools/list", **params: Any) -> Request:
    return Request(3, method, {**params, "_meta": META if meta is None else meta})


def headers(method: str = "tools/list", version: str = "2026-07-28", name: str | None = None) -> PostHeaders:
    return PostHeaders(version=version, method=method, name=name)


def test_the_least() -> None:
    assert stateless.read_envelope(headers(), request()) == Envelope("2026-07-28")
    assert stateless.read_envelope(None, request()) == Envelope("2026-07-28")


def test_the_most() -> None:
    meta = {
        **META,
        f"{KEY}clientInfo": {"name": "c", "version": "1"},
        f"{KEY}clientCapabilities": {"sampling": {}},
        f"{KEY}logLevel": "warning",
        "progressToken": "t",
    }
    sent = request(meta, "tools/call", name="add", inputResponses={"a": {"action": "accept"}}, requestState="s")
    assert stateless.read_envelope(headers("tools/call", name="add"), sent) == Envelope(
        "2026-07-28",
        {"name": "c", "version": "1"},
        {"sampling": {}},
        "warning",
        "t",
        {"a": {"action": "accept"}},
        "s",
    )


def test_no_responses_are_none() -> None:
    assert stateless.read_envelope(None, request(inputResponses=None)).input_responses == {}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in META.items() if key != f"{KEY}{name}"}


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (Request(3, "tools/list"), "'_meta' must be"),
        (request([]), "'_meta' must be"),
        (request({}), "protocolVersion"),
        (request(without("protocolVersion")), "protocolVersion"),
        (request(without("clientCapabilities")), "clientCapabilities"),
        (request({**META, f"{KEY}clientCapabilities": []}), "clientCapabilities"),
        (request({**META, f"{KEY}clientInfo": "me"}), "clientInfo"),
        (request({**META, f"{KEY}logLevel": "loud"}), "debug"),
        (request({**META, f"{KEY}logLevel": ["info"]}), "debug"),
        (request({**META, "progressToken": True}), "progressToken"),
        (request({**META, "progressToken": 1.5}), "progressToken"),
        (request(requestState=3), "requestState"),
        (request(inputResponses={"a": 12345}), "inputResponses"),
        (request(inputResponses=[{}]), "inputResponses"),
    ],
)
def test_what_is_missing_or_wrong(sent: Request, said: str) -> None:
    with pytest.raises(McpError, match=said) as caught:
        stateless.read_envelope(headers(), sent)
    assert (caught.value.code, caught.value.http_status, caught.value.id) == (-32602, 400, 3)


@pytest.mark.parametrize("where", [headers(version="v999"), None])
def test_a_version_that_is_not_spoken(where: PostHeaders | None) -> None:
    with pytest.raises(McpError) as caught:
        stateless.read_envelope(where, request({**META, f"{KEY}protocolVersion": "v999"}))
    found = caught.value
    assert (found.code, found.http_status, found.id) == (-32022, 400, 3)
    assert found.data == {"supported": [*SUPPORTED], "requested": "v999"}


def test_a_version_of_the_older_era_is_not_spoken_this_way() -> None:
    with pytest.raises(McpError) as caught:
        stateless.read_envelope(None, request({**META, f"{KEY}protocolVersion": "2025-11-25"}))
    assert caught.value.code == -32022


def test_headers_are_compared_before_the_version_is_looked_at() -> None:
    with pytest.raises(McpError) as caught:
        stateless.read_envelope(headers(), request({**META, f"{KEY}protocolVersion": "v999"}))
    assert caught.value.code == -32020


def test_a_version_of_another_type() -> None:
    with pytest.raises(McpError, match="must be a string"):
        stateless.read_envelope(None, request({**META, f"{KEY}protocolVersion": 3}))


@pytest.mark.parametrize("method", sorted(stateless.METHODS))
def test_what_may_be_asked(method: str) -> None:
    stateless.check_method(request(method=method))


@pytest.mark.parametrize(
    "method", ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "unknown/x"]
)
def test_what_may_not_be_asked(method: str) -> None:
    with pytest.raises(McpError, match=method) as caught:
        stateless.check_method(request(method=method))
    assert (caught.value.code, caught.value.http_status, caught.value.id) == (-32601, 404, 3)


@pytest.mark.parametrize("method", ["tools/list", "prompts/list", "resources/list", "resources/templates/list"])
def test_lists_say_how_long_they_hold(method: str) -> None:
    assert stateless.complete({"x": []}, method, SERVER) == {
        "resultType": "complete",
        "x": [],
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {f"{KEY}serverInfo": SERVER},
    }


def test_what_a_result_says_itself_stays() -> None:
    given = {"contents": [], "ttlMs": 5, "cacheScope": "public", "_meta": {"a": 1}}
    found = stateless.complete(given, "resources/read", SERVER)
    assert (found["ttlMs"], found["cacheScope"]) == (5, "public")
    assert found["_meta"] == {"a": 1, f"{KEY}serverInfo": SERVER}
    assert given["_meta"] == {"a": 1}


def test_a_call_says_nothing_of_keeping() -> None:
    found = stateless.complete({"content": [], "_meta": None}, "tools/call", SERVER)
    assert found == {"resultType": "complete", "content": [], "_meta": {f"{KEY}serverInfo": SERVER}}


def test_discover() -> None:
    found = stateless.discover_result(SERVER, {"tools": {}}, "Play.")
    assert found == {
        "resultType": "complete",
        "supportedVersions": [*SUPPORTED],
        "capabilities": {"tools": {}},
        "instructions": "Play.",
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {f"{KEY}serverInfo": SERVER},
    }
    assert "instructions" not in stateless.discover_result(SERVER, {}, None)


def test_what_is_asked_first() -> None:
    asked = {"confirm": {"method": "elicitation/create", "params": {"message": "?"}}}
    found = {"resultType": "input_required", "inputRequests": asked, "requestState": "s"}
    assert stateless.input_required(asked, "s") == found
    assert stateless.input_required(asked, "s", SERVER) == {**found, "_meta": {f"{KEY}serverInfo": SERVER}}


def test_a_missing_capability() -> None:
    found = stateless.missing_capability({"sampling": {}}, 4)
    assert (found.code, found.http_status, found.id) == (-32021, 400, 4)
    assert found.data == {"requiredCapabilities": {"sampling": {}}}
    assert "sampling" in found.message


@pytest.mark.parametrize(
    ("capabilities", "needed", "is_there"),
    [
        ({}, {}, True),
        ({}, {"sampling": {}}, False),
        ({"sampling": {}}, {"sampling": {}}, True),
        ({"sampling": None}, {"sampling": {}}, False),
        ({"sampling": {}}, {"sampling": {"tools": {}}}, False),
        ({"sampling": {"tools": {}}}, {"sampling": {"tools": {}}}, True),
        ({"elicitation": {}}, {"elicitation": {"form": {}}}, True),
        ({"elicitation": {}}, {"elicitation": {"url": {}}}, False),
        ({"elicitation": {"url": {}}}, {"elicitation": {"form": {}}}, False),
        ({"roots": {"listChanged": True}}, {"roots": {}, "sampling": {}}, False),
        ({"roots": {}}, {"roots": None}, True),
    ],
)
def test_what_a_client_declares(capabilities: dict[str, Any], needed: dict[str, Any], is_there: bool) -> None:
    assert stateless.declares(capabilities, needed) is is_there
