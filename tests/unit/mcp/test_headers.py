"""Headers: what is read from them, which era they speak of, and whether they say what the body says."""

from __future__ import annotations

from typing import Any

import pytest

from openenv.mcp.headers import (
    PROTOCOL_VERSION_KEY,
    PostHeaders,
    check_media,
    check_older_version,
    check_routing,
    era_of,
)
from openenv.mcp.messages import McpError, Message, Notification, Request, Response
from openenv.mcp.versions import OLDER, Era

NOW = "2026-07-28"


def headers(**pairs: str) -> PostHeaders:
    return PostHeaders.read([(name.replace("_", "-").encode(), value.encode()) for name, value in pairs.items()])


def test_all_of_them() -> None:
    found = PostHeaders.read(
        [
            (b"Host", b"x"),
            (b"CONTENT-TYPE", b"application/json; charset=utf-8"),
            (b"Accept", b"application/json;q=0.5, Text/Event-Stream"),
            (b"accept", b"text/plain"),
            (b"Mcp-Protocol-Version", b" 2026-07-28\t"),
            (b"mcp-method", b"tools/call"),
            (b"MCP-NAME", b"  add "),
            (b"Mcp-Session-Id", b"s"),
            (b"last-event-id", b"a.3"),
            (b"Mcp-Param-Region", b"\xe9u"),
        ]
    )
    assert found == PostHeaders(
        content_type="application/json; charset=utf-8",
        accept=("application/json", "text/event-stream", "text/plain"),
        version=NOW,
        method="tools/call",
        name="add",
        session_id="s",
        last_event_id="a.3",
        params={"region": "éu"},
    )
    assert found.repeated == ()


def test_none_of_them() -> None:
    assert PostHeaders.read([]) == PostHeaders()


@pytest.mark.parametrize("name", ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "Mcp-Param-x"])
def test_what_may_not_be_repeated(name: str) -> None:
    found = PostHeaders.read([(name.upper().encode(), b"a"), (name.lower().encode(), b"a"), (b"accept", b"")])
    assert found.repeated == (name,)


def test_others_may_be_repeated() -> None:
    assert PostHeaders.read([(b"content-type", b"a"), (b"content-type", b"b")]) == PostHeaders(content_type="b")


@pytest.mark.parametrize(
    ("accept", "json", "events"),
    [
        (None, True, True),
        ("*/*", True, True),
        ("application/json, text/event-stream", True, True),
        ("application/json", True, False),
        ("application/*", True, False),
        ("text/event-stream;q=1", False, True),
        ("text/*", False, True),
        ("text/html", False, False),
    ],
)
def test_media(accept: str | None, json: bool, events: bool) -> None:
    found = headers(content_type="Application/JSON ; charset=x", **({} if accept is None else {"accept": accept}))
    assert (found.takes_json, found.takes_events) == (json, events)
    if json or events:
        check_media(found)
    else:
        with pytest.raises(McpError) as caught:
            check_media(found)
        assert (caught.value.http_status, caught.value.code) == (406, -32600)


@pytest.mark.parametrize("kind", ["text/plain", "", "application/jsonp", None])
def test_what_is_not_json_is_refused(kind: str | None) -> None:
    with pytest.raises(McpError, match="Content-Type") as caught:
        check_media(headers(**({} if kind is None else {"content_type": kind})))
    assert caught.value.http_status == 415


META = {"_meta": {PROTOCOL_VERSION_KEY: "anything"}}


@pytest.mark.parametrize(
    ("version", "message", "era"),
    [
        (None, Request(1, "tools/list"), Era.OLDER),
        (None, Request(1, "initialize"), Era.OLDER),
        *((version, Request(1, "tools/list"), Era.OLDER) for version in OLDER),
        (NOW, Request(1, "tools/list"), Era.STATELESS),
        (NOW, Request(1, "initialize"), Era.STATELESS),
        (NOW, Notification("notifications/cancelled"), Era.STATELESS),
        (NOW, Response(1, {}), Era.STATELESS),
        (None, Response(1, {}), Era.OLDER),
        (None, Notification("notifications/initialized"), Era.OLDER),
        ("v999", Request(1, "tools/list"), Era.STATELESS),
        ("v999", Request(1, "initialize"), Era.OLDER),
        ("v999", Request(1, "initialize", META), Era.STATELESS),
        (None, Request(1, "tools/list", META), Era.STATELESS),
        ("2025-11-25", Request(1, "tools/list", META), Era.STATELESS),
        (None, Request(1, "tools/list", {"_meta": {"progressToken": 1}}), Era.OLDER),
        (None, Request(1, "tools/list", {"_meta": [PROTOCOL_VERSION_KEY]}), Era.OLDER),
    ],
)
def test_the_era(version: str | None, message: Message, era: Era) -> None:
    assert era_of(PostHeaders(version=version), message) is era


def test_the_era_without_headers() -> None:
    assert era_of(None, Request(1, "tools/list")) is Era.OLDER
    assert era_of(None, Request(1, "tools/list", META)) is Era.STATELESS


@pytest.mark.parametrize("version", [None, *OLDER])
def test_versions_of_the_older_era(version: str | None) -> None:
    check_older_version(PostHeaders(version=version))


@pytest.mark.parametrize("version", [NOW, "", "nonsense"])
def test_a_version_of_no_older_era(version: str) -> None:
    with pytest.raises(McpError, match="2025-11-25") as caught:
        check_older_version(PostHeaders(version=version))
    assert (caught.value.code, caught.value.http_status) == (-32600, 400)


def good(method: str = "tools/call", name: str | None = "add") -> dict[str, Any]:
    return {"version": NOW, "method": method, "name": name}


CALL = Request(4, "tools/call", {"name": "add"})


@pytest.mark.parametrize(
    ("fields", "request_"),
    [
        (good(), CALL),
        (good(name="=?base64?YWRk?="), CALL),
        (good("tools/list", None), Request(4, "tools/list")),
        (good("tools/list", "whatever"), Request(4, "tools/list")),
        (good(name=None), Request(4, "tools/call")),
        (good("prompts/get", "p"), Request(4, "prompts/get", {"name": "p"})),
        (good("resources/read", "a://b"), Request(4, "resources/read", {"uri": "a://b"})),
        (good("resources/read", "=?base64?w6k=?="), Request(4, "resources/read", {"uri": "é"})),
    ],
)
def test_headers_that_repeat_the_body(fields: dict[str, Any], request_: Request) -> None:
    check_routing(PostHeaders(**fields), request_, NOW)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": None}, "MCP-Protocol-Version"),
        ({"version": "2025-11-25"}, "MCP-Protocol-Version"),
        ({"method": None}, "Mcp-Method"),
        ({"method": "prompts/get"}, "Mcp-Method"),
        ({"method": "TOOLS/CALL"}, "Mcp-Method"),
        ({"name": None}, "Mcp-Name"),
        ({"name": "sub"}, "Mcp-Name"),
        ({"name": "=?base64?YWRk=?="}, "Mcp-Name"),
        ({"repeated": ("Mcp-Name",)}, "Mcp-Name"),
    ],
)
def test_headers_that_say_something_else(change: dict[str, Any], said: str) -> None:
    with pytest.raises(McpError, match=said) as caught:
        check_routing(PostHeaders(**{**good(), **change}), CALL, NOW)
    assert (caught.value.code, caught.value.http_status, caught.value.id) == (-32020, 400, 4)


@pytest.mark.parametrize("version", [None, 3, ["2026-07-28"]])
def test_a_version_of_another_type_matches_no_header(version: object) -> None:
    with pytest.raises(McpError) as caught:
        check_routing(PostHeaders(**good()), CALL, version)
    assert caught.value.code == -32020
