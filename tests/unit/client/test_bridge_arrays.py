"""Arrays of messages on the stdio side of the bridge; the server gets one message at a time."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.unit.client.bridging import WAIT_S, Answer, Heard, Script, Talk, result, stateless, talking

OLD = "2025-03-26"


def asked(id: int | str, method: str = "tools/call", **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def told(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": f"notifications/{method}", "params": params}


def server(more: Script, version: str = OLD) -> Script:
    """The handshake of that version, and ``more`` for calls."""

    def answer(heard: Heard) -> Answer:
        if heard.says == "initialize":
            return Answer(result(heard, protocolVersion=version), headers={"Mcp-Session-Id": "s1.x"})
        if heard.says == "tools/call":
            return more(heard)
        return Answer(status=405 if heard.verb == "GET" else 200 if heard.verb == "DELETE" else 202)

    return answer


def begin(talk: Talk, version: str = OLD) -> None:
    talk.ask(0, "initialize", {"protocolVersion": version})
    assert talk.hear()["result"]["protocolVersion"] == version


def test_the_requests_are_passed_on_one_after_the_other() -> None:
    with talking(server(lambda heard: Answer(result(heard, asked=heard.body["params"])))) as (talk, heard):
        begin(talk)
        talk.say([told("initialized"), asked(1, a="ü"), 3, asked(2, a=[1, 2])])
        wrong, *answers = sorted((talk.hear() for _ in range(3)), key=lambda one: one["id"] or 0)
        assert (wrong["id"], wrong["error"]["code"]) == (None, -32600)
        assert [(one["id"], one["result"]) for one in answers] == [
            (1, {"asked": {"a": "ü"}}),
            (2, {"asked": {"a": [1, 2]}}),
        ]
        assert talk.end() == 0
        assert [one.body["id"] for one in heard.heard if one.says == "tools/call"] == [1, 2]
        assert {one.headers.get("mcp-session-id") for one in heard.heard[1:]} == {"s1.x"}


def test_what_waits_in_an_array_is_taken_back_and_never_asked() -> None:
    go = threading.Event()

    def script(heard: Heard) -> Answer:
        if not (go.wait(WAIT_S) if heard.body["id"] == 1 else go.is_set()):
            return Answer("one at a time", status=500)
        return Answer(result(heard))

    with talking(server(script)) as (talk, heard):
        begin(talk)
        talk.say([asked(1), asked(2), asked(3)])
        assert heard.next("tools/call").body["id"] == 1
        talk.say(told("cancelled", requestId=2))
        talk.say(told("cancelled", requestId=1))  # this one the server has, and hears of it
        assert heard.next("notifications/cancelled").body["params"] == {"requestId": 1}
        go.set()
        assert [(one["id"], "result" in one) for one in (talk.hear(), talk.hear())] == [(1, True), (3, True)]
        assert talk.end() == 0
        assert [one.body["id"] for one in heard.heard if one.says == "tools/call"] == [1, 3]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        ([], "no messages"),
        ([told("x")] * 101, "at most 100"),
        ([asked(5, "ping"), asked(6, "initialize")], "'initialize' is sent alone"),
    ],
)
def test_what_is_refused_as_a_whole(array: list[Any], said: str) -> None:
    with talking(server(lambda heard: Answer(result(heard)))) as (talk, heard):
        begin(talk)
        talk.say(array)
        error = talk.hear()["error"]
        assert error["code"] == -32600
        assert said in error["message"]
        assert talk.end() == 0
        assert [one.says for one in heard.heard] == ["initialize", "DELETE"]


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25", None])
def test_later_versions_have_no_arrays(version: str | None) -> None:
    with talking(server(lambda heard: Answer(result(heard)), version or OLD)) as (talk, _):
        if version is not None:
            begin(talk, version)
        talk.say([asked(1, "tools/list", **stateless())])
        assert f"MCP {version or '2026-07-28'} has none" in talk.hear()["error"]["message"]
