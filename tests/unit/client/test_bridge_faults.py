"""The bridge from stdio to HTTP where something goes wrong: servers, messages, and both ends of the line."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.unit.client.bridging import (
    WAIT_S,
    Answer,
    Heard,
    Talk,
    event,
    result,
    talking,
)

from openenv.client.bridge import endpoint_of
from openenv.errors import ConfigurationError


def echo(heard: Heard) -> Answer:
    """Answers with what was asked."""
    return Answer(result(heard, asked=heard.body.get("params")))


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """Parameters of a call."""
    return {"name": name, "arguments": arguments}


def test_a_server_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    with talking(echo) as (_, server):
        url = server.url
    talk = Talk(url, {})
    try:
        for id in (1, "two"):
            talk.ask(id, "ping", {})
            told = talk.hear()
            assert told["id"] == id
            assert f"cannot reach {url}" in told["error"]["message"]
        talk.say({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert talk.end() == 1
        assert talk.rest() == []
    finally:
        talk.close()
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        f"openenv mcp: cannot reach {url}: All connection attempts failed; does the server run, and is that its URL?"
    ]


@pytest.mark.parametrize(
    ("line", "code"),
    [(b"nonsense\n", -32700), (b"[]\n", -32600), (b'{"id": 5}\n', -32600), (b"\xff\xfe\n", -32700)],
)
def test_a_line_that_is_no_message(line: bytes, code: int) -> None:
    with talking(echo) as (talk, server):
        talk.say(b"\n  \n" + line)
        assert talk.hear()["error"]["code"] == code
        talk.ask(1, "ping", {})
        assert talk.hear()["id"] == 1
        assert len(server.heard) == 1


REFUSED = {"jsonrpc": "2.0", "id": None, "error": {"code": -32001, "message": "no such session"}}


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (Answer("what?", status=401), -32603, "HTTP 401 without an MCP message: what?"),
        (Answer({"detail": "x"}, status=422), -32603, "HTTP 422"),
        (Answer("<html>", status=200), -32603, "without an MCP message: <html>"),
        (Answer(status=202), -32603, "HTTP 202"),
        (Answer(REFUSED, status=404), -32001, "no such session"),
        (Answer({"jsonrpc": "2.0", "id": 9, "result": {}}), -32603, "without an MCP message"),
    ],
)
def test_whatever_the_server_answers_the_request_is_answered(answer: Answer, code: int, message: str) -> None:
    with talking(lambda heard: answer) as (talk, _):
        talk.ask(1, "ping", {})
        told = talk.hear()
        assert (told["id"], told["error"]["code"]) == (1, code)
        assert message in told["error"]["message"]


@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        (Answer("what?", status=401), "what?; give --token, or set OPENENV_TOKEN"),
        (Answer("<html>", status=501), "<html>; is it the URL of an OpenEnv server?"),
        (Answer(REFUSED, status=404), "no such session"),
    ],
)
def test_people_are_told_what_to_do(answer: Answer, remedy: str, capfd: pytest.CaptureFixture[str]) -> None:
    with talking(lambda heard: answer) as (talk, _):
        talk.ask(1, "ping", {})
        talk.hear()
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith(remedy)


def test_an_event_that_is_no_message_is_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    def script(heard: Heard) -> Answer:
        return Answer(stream=lambda: iter([b"data: nonsense\n\n", event(result(heard, ok=True))]))

    with talking(script) as (talk, _):
        talk.ask(1, "ping", {})
        assert talk.hear()["result"] == {"ok": True}
    assert "no MCP message" in capfd.readouterr().err


def test_long_messages_both_ways() -> None:
    with talking(echo) as (talk, _):
        text = "x" * 10_000_000
        talk.ask(1, "tools/call", call("echo", text=text))
        assert talk.hear()["result"]["asked"]["arguments"]["text"] == text


def test_answers_under_way_are_waited_for() -> None:
    goes_on = threading.Event()

    def script(heard: Heard) -> Answer:
        assert goes_on.wait(WAIT_S)
        return echo(heard)

    with talking(script) as (talk, server):
        for id in range(20):
            talk.ask(id, "ping", {})
        talk.say(b'{"jsonrpc": "2.0", "id": 20, "method": "last"}')  # without an end of line
        threading.Thread(target=lambda: (server.next("ping"), goes_on.set())).start()
        assert talk.end() == 0
        assert {one["id"] for one in talk.rest()} == set(range(21))


def test_it_ends_when_nobody_reads() -> None:
    with talking(echo) as (talk, _):
        talk.stop_reading()
        talk.ask(1, "ping", {})
        talk._thread.join(WAIT_S)
        assert not talk._thread.is_alive()


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://localhost:8000", "http://localhost:8000/mcp"),
        ("http://localhost:8000/", "http://localhost:8000/mcp"),
        ("ws://localhost:8000/ws", "http://localhost:8000/mcp"),
        ("https://host/base/mcp", "https://host/base/mcp"),
        ("http://localhost:8000/sessions/1-3f/mcp", "http://localhost:8000/sessions/1-3f/mcp"),
    ],
)
def test_endpoints(url: str, endpoint: str) -> None:
    assert endpoint_of(url) == endpoint


def test_no_endpoint() -> None:
    with pytest.raises(ConfigurationError):
        endpoint_of("nowhere")
