"""The bridge from stdio to HTTP: what it passes on, and with which headers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.client.bridging import (
    WAIT_S,
    Answer,
    Heard,
    begin,
    event,
    older,
    result,
    stateless,
    talking,
)


def echo(heard: Heard) -> Answer:
    """Answers with what was asked."""
    return Answer(result(heard, asked=heard.body.get("params")))


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """Parameters of a call."""
    return {"name": name, "arguments": arguments}


# Both eras ---------------------------------------------------------------------------------------


def test_a_session_of_the_older_era() -> None:
    with talking(older(echo), {"Authorization": "Bearer t"}) as (talk, server):
        begin(talk)
        assert server.next("GET").headers["mcp-session-id"] == "s1.x"
        talk.ask("a", "tools/call", call("add", a=1))
        assert talk.hear() == {"jsonrpc": "2.0", "id": "a", "result": {"asked": call("add", a=1)}}
        assert talk.end() == 0
        assert [one.says for one in server.heard if one.verb != "GET"] == [
            "initialize", "notifications/initialized", "tools/call", "DELETE"
        ]  # fmt: skip
        first, *later = server.heard
        assert "mcp-session-id" not in first.headers
        assert "mcp-protocol-version" not in first.headers
        for one in later:
            assert (one.headers["mcp-session-id"], one.headers["mcp-protocol-version"]) == ("s1.x", "2025-06-18")
        assert {one.headers["authorization"] for one in server.heard} == {"Bearer t"}
        assert all("mcp-method" not in one.headers for one in server.heard)


def test_requests_of_the_stateless_era_have_their_headers() -> None:
    schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}

    def script(heard: Heard) -> Answer:
        tools = [{"name": "go", "inputSchema": schema}]
        return Answer(result(heard, tools=tools)) if heard.says == "tools/list" else echo(heard)

    with talking(script) as (talk, server):
        talk.ask(1, "tools/list", stateless())
        assert talk.hear()["id"] == 1
        talk.ask(2, "tools/call", stateless(**call("go", region="nörd")))
        assert talk.hear()["id"] == 2
        talk.ask(3, "resources/read", stateless(uri="episode://task"))
        assert talk.hear()["id"] == 3
        assert talk.end() == 0
        listed, called, read = server.heard  # and no DELETE: there is no session
        assert {one.headers["mcp-protocol-version"] for one in server.heard} == {"2026-07-28"}
        assert [one.headers["mcp-method"] for one in server.heard] == ["tools/list", "tools/call", "resources/read"]
        assert "mcp-name" not in listed.headers
        assert (called.headers["mcp-name"], called.headers["mcp-param-region"]) == ("go", "=?base64?bsO2cmQ=?=")
        assert read.headers["mcp-name"] == "episode://task"


# Streams -----------------------------------------------------------------------------------------


def test_what_comes_as_a_stream_is_passed_on_in_order(capfd: pytest.CaptureFixture[str]) -> None:
    def script(heard: Heard) -> Answer:
        def pieces() -> Iterator[bytes]:
            yield b"id: 1\ndata:\n\n: alive\n\n"
            for done in range(3):
                yield event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": done}})
            text = json.dumps(result(heard, ok=True), indent=2).replace("\n", "\ndata: ")
            yield f"data: {text}\n\n".encode()

        return Answer(stream=pieces)

    with talking(older(script)) as (talk, _):
        begin(talk)
        talk.ask(1, "tools/call", call("slow"))
        assert [talk.hear()["params"]["progress"] for _ in range(3)] == [0, 1, 2]
        assert talk.hear() == {"jsonrpc": "2.0", "id": 1, "result": {"ok": True}}
    assert capfd.readouterr().err == ""  # an event that only has an id is nothing to speak of


def test_the_server_may_ask_the_client() -> None:
    answered = threading.Event()

    def script(heard: Heard) -> Answer:
        if heard.says == "response":
            answered.set()
            return Answer(status=202)

        def pieces() -> Iterator[bytes]:
            yield event({"jsonrpc": "2.0", "id": "q1", "method": "elicitation/create", "params": {}})
            assert answered.wait(WAIT_S)
            yield event(result(heard, ok=True))

        return Answer(stream=pieces)

    with talking(older(script)) as (talk, server):
        begin(talk)
        talk.ask(1, "tools/call", call("asks"))
        question = talk.hear()
        assert question["method"] == "elicitation/create"
        talk.say({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}})
        assert talk.hear()["result"] == {"ok": True}
        answer = server.next("response")
        assert answer.headers["mcp-session-id"] == "s1.x"
        assert answer.body == {"jsonrpc": "2.0", "id": "q1", "result": {"action": "decline"}}


def test_what_the_server_says_by_itself() -> None:
    def script(heard: Heard) -> Answer:
        if heard.verb != "GET":
            return echo(heard)
        last = heard.headers.get("last-event-id")
        changed = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {"after": last}}
        return Answer(stream=lambda: iter([b"retry: 10\n", event(changed, "g.1" if last is None else "g.2")]))

    with talking(older(script, gets=True)) as (talk, _):
        begin(talk)
        assert [talk.hear()["params"]["after"] for _ in range(3)] == [None, "g.1", "g.2"]


def test_a_stream_that_is_cut_is_taken_up_again() -> None:
    def script(heard: Heard) -> Answer:
        last = heard.headers.get("last-event-id")
        if heard.verb == "GET" and last is None:
            return Answer(status=405)
        if heard.verb == "GET" and last == "c.1":
            return Answer(stream=lambda: iter([event({"jsonrpc": "2.0", "method": "m"}, "c.2")]), cut=True)
        if heard.verb == "GET":
            assert last == "c.2"
            return Answer(stream=lambda: iter([event({"jsonrpc": "2.0", "id": 1, "result": {"late": 1}}, "c.3")]))
        return Answer(stream=lambda: iter([b"retry: 10\nid: c.1\ndata:\n\n"]), cut=True)

    with talking(older(script, gets=True)) as (talk, server):
        begin(talk)
        talk.ask(1, "tools/call", call("slow"))
        assert talk.hear() == {"jsonrpc": "2.0", "method": "m"}
        assert talk.hear() == {"jsonrpc": "2.0", "id": 1, "result": {"late": 1}}
        assert [one.says for one in server.heard].count("tools/call") == 1  # it did not run twice


@pytest.mark.parametrize("first", [b": no id\n\n", b"retry: 1\nid: c.1\ndata:\n\n"])
def test_an_answer_that_is_gone_is_an_error(first: bytes) -> None:
    def script(heard: Heard) -> Answer:
        if heard.verb == "GET":
            return Answer(status=404 if "last-event-id" in heard.headers else 405)
        return Answer(stream=lambda: iter([first]), cut=True)

    with talking(older(script, gets=True)) as (talk, _):
        begin(talk)
        talk.ask(1, "tools/call", call("slow"))
        told = talk.hear()
        assert (told["id"], told["error"]["code"]) == (1, -32603)
        assert "broke before it answered" in told["error"]["message"]


# Taking back -------------------------------------------------------------------------------------


def _endless(heard: Heard, entered: threading.Event) -> Answer:
    def pieces() -> Iterator[bytes]:
        entered.set()
        pause = threading.Event()
        while not pause.wait(0.01):
            yield b": alive\n\n"

    return Answer(stream=pieces)


def test_in_the_stateless_era_a_request_is_taken_back_by_closing_its_stream() -> None:
    entered = threading.Event()
    with talking(lambda heard: _endless(heard, entered) if heard.says == "tools/call" else echo(heard)) as (
        talk,
        server,
    ):
        talk.ask(1, "tools/call", stateless(**call("slow")))
        assert entered.wait(WAIT_S)
        talk.say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
        assert server.hung_up.wait(WAIT_S)
        talk.ask(2, "ping", stateless())
        assert talk.hear()["id"] == 2  # nothing was said of the first
        assert talk.end() == 0
        assert talk.rest() == []
        assert [one.says for one in server.heard] == ["tools/call", "ping"]


def test_in_the_older_era_that_is_passed_on() -> None:
    cancelled = threading.Event()

    def script(heard: Heard) -> Answer:
        if heard.says == "notifications/cancelled":
            cancelled.set()
            return Answer(status=202)
        assert cancelled.wait(WAIT_S)
        return Answer(result(heard, cancelled=True))

    def answer(heard: Heard) -> Answer:
        return script(heard) if heard.says in ("notifications/cancelled", "tools/call") else older()(heard)

    with talking(answer) as (talk, server):
        begin(talk)
        talk.ask(7, "tools/call", call("slow"))
        server.next("tools/call")
        talk.say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}})
        assert server.next("notifications/cancelled").body["params"] == {"requestId": 7}
        assert talk.hear()["result"] == {"cancelled": True}


def test_what_is_said_at_once_has_the_session_of_what_was_said_first() -> None:
    asked = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    said = [
        {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": asked},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
    ]
    with talking(older(echo)) as (talk, server):
        talk.say(b"".join(json.dumps(message).encode() + b"\n" for message in said))
        assert [talk.hear()["id"] for _ in range(2)] == [0, 1]
        assert talk.end() == 0
        sessions = {one.says: one.headers.get("mcp-session-id") for one in server.heard}
        assert sessions.pop("initialize") is None
        assert sessions == dict.fromkeys(("notifications/initialized", "GET", "tools/list", "DELETE"), "s1.x")
