"""The client's side: how the era is found out, what is sent, and what comes back means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openenv.mcp.client import ClientCore
from openenv.mcp.happenings import Answer, Asked, Happening, InputWanted, Opened, Outgoing, Refused, Told
from openenv.mcp.headers import PostHeaders, check_media, era_of
from openenv.mcp.messages import McpError, Request, error_bytes, notification_bytes, read, request_bytes, result_bytes
from openenv.mcp.older import OlderSession
from openenv.mcp.stateless import check_method, complete, discover_result, input_required, read_envelope
from openenv.mcp.versions import LATEST_OLDER, LATEST_STATELESS, OLDER, Era

ME, SERVER = {"name": "me", "version": "1"}, {"name": "server", "version": "2"}
KEY = "io.modelcontextprotocol/"


def content(outgoing: Outgoing) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(outgoing.body)
    assert b"\n" not in outgoing.body
    return found


def result(outgoing: Outgoing, found: dict[str, Any]) -> bytes:
    assert outgoing.id is not None
    return result_bytes(outgoing.id, found)


def error(outgoing: Outgoing, code: int, data: Any = None) -> bytes:
    return error_bytes(outgoing.id, McpError(code, "no", data))


def stateless(**options: Any) -> ClientCore:
    core = ClientCore(ME, {"sampling": {}}, **options)
    found = core.receive(result(core.opening(), discover_result(SERVER, {"tools": {}}, "Play.")))
    assert found == Opened(Era.STATELESS, LATEST_STATELESS, SERVER, {"tools": {}}, "Play.") == core.opened
    assert core.take() == []
    return core


def older(**options: Any) -> ClientCore:
    core = ClientCore(ME, {"sampling": {}}, first=Era.OLDER, **options)
    begin = core.opening()
    greeting = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": SERVER}
    core.session_id = "s-1"
    assert core.receive(result(begin, greeting)) == Opened(Era.OLDER, "2025-06-18", SERVER, {"tools": {}}, "")
    (sent,) = core.take()
    assert content(sent) == {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert sent.id is None
    return core


def test_the_stateless_era_is_asked_for_first() -> None:
    opening = ClientCore(ME, {"sampling": {}}).opening()
    assert content(opening) == {
        "jsonrpc": "2.0",
        "id": opening.id,
        "method": "server/discover",
        "params": {
            "_meta": {
                f"{KEY}protocolVersion": LATEST_STATELESS,
                f"{KEY}clientInfo": ME,
                f"{KEY}clientCapabilities": {"sampling": {}},
            }
        },
    }
    assert opening.headers == {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": LATEST_STATELESS,
        "mcp-method": "server/discover",
    }
    stateless()


def test_the_older_era() -> None:
    core = ClientCore(ME, first=Era.OLDER)
    begin = core.opening()
    params = {"protocolVersion": LATEST_OLDER, "capabilities": {}, "clientInfo": ME}
    assert content(begin) == {"jsonrpc": "2.0", "id": begin.id, "method": "initialize", "params": params}
    assert begin.headers == {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
    }
    assert core.closing_headers() is None
    core = older()
    asked = core.request("tools/list")
    assert asked.headers["mcp-protocol-version"] == "2025-06-18"
    assert asked.headers["mcp-session-id"] == "s-1"
    assert content(asked) == {"jsonrpc": "2.0", "id": asked.id, "method": "tools/list"}
    assert core.closing_headers() == {"mcp-protocol-version": "2025-06-18", "mcp-session-id": "s-1"}
    assert core.stream_headers() == {**(core.closing_headers() or {}), "accept": "text/event-stream"}
    assert core.stream_headers("a.3")["last-event-id"] == "a.3"


def falls_back(core: ClientCore, found: Happening | None) -> None:
    assert found is None
    (begin,) = core.take()
    assert begin.method == "initialize"
    assert core.take() == []
    happening = core.receive(result(begin, {"protocolVersion": LATEST_OLDER}))
    assert happening == Opened(Era.OLDER, LATEST_OLDER, {}, {}, "")


@pytest.mark.parametrize(
    ("code", "data"),
    [
        (-32601, None),
        (-32602, None),
        (-32600, None),
        (-32022, {"supported": ["2025-11-25"]}),
        (-32022, {"supported": "all"}),
        (-32022, None),
    ],
)
def test_a_server_that_does_not_know_it_is_an_older_one(code: int, data: Any) -> None:
    core = ClientCore(ME)
    falls_back(core, core.receive(error(core.opening(), code, data)))


@pytest.mark.parametrize("versions", [[*OLDER], [], None, "2026-07-28"])
def test_a_server_that_knows_it_but_does_not_offer_it(versions: Any) -> None:
    core = ClientCore(ME)
    falls_back(core, core.receive(result(core.opening(), {"supportedVersions": versions})))


@pytest.mark.parametrize("status", [400, 404, 405, 406])
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no"}}']
)
def test_an_older_server_may_refuse_the_first_request(status: int, body: bytes) -> None:
    core = ClientCore(ME)
    opening = core.opening()
    assert opening.id is not None
    falls_back(core, core.failed(opening.id, status, body))


@pytest.mark.parametrize("status", [401, 403, 407, 429, 500, 503])
def test_a_server_that_lets_nobody_in_is_not_an_older_one(status: int) -> None:
    core = ClientCore(ME)
    opening = core.opening()
    assert opening.id is not None
    found = core.failed(opening.id, status)
    assert isinstance(found, Refused)
    assert (found.method, found.error.http_status) == ("server/discover", status)
    assert str(status) in str(found.error)
    assert core.take() == []


def test_a_server_without_a_version_in_common() -> None:
    core = ClientCore(ME)
    found = core.receive(error(core.opening(), -32022, {"supported": ["2030-01-01"]}))
    assert isinstance(found, Refused)
    assert core.opened is None
    core = ClientCore(ME, first=Era.OLDER)
    found = core.receive(result(core.opening(), {"protocolVersion": "1999-01-01"}))
    assert isinstance(found, Refused)
    assert "1999-01-01" in str(found.error)
    assert (core.opened, core.take()) == (None, [])


@pytest.mark.parametrize(
    "odd", [{"_meta": 3, "capabilities": [], "instructions": 4}, {"_meta": {f"{KEY}serverInfo": 1}}]
)
def test_what_a_server_says_wrongly_of_itself_is_left_out(odd: dict[str, Any]) -> None:
    core = ClientCore(ME)
    found = core.receive(result(core.opening(), {"supportedVersions": ["2026-07-28"], **odd}))
    assert found == Opened(Era.STATELESS, LATEST_STATELESS, {}, {}, "")


def test_a_call_of_the_stateless_era_is_what_a_server_takes() -> None:
    schema = {"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    params = {"name": "déjà", "arguments": {"region": "eu"}, "_meta": {"trace": 1}}
    sent = stateless().request("tools/call", params, wants_progress=True, input_schema=schema)
    headers = PostHeaders.read((name.encode(), value.encode()) for name, value in sent.headers.items())
    request = read(sent.body)
    assert isinstance(request, Request)
    check_media(headers)
    check_method(request)
    envelope = read_envelope(headers, request)
    assert (envelope.client_info, envelope.progress_token) == (ME, sent.id)
    assert headers.params == {"region": "eu"}
    assert request.meta["trace"] == 1
    assert params["_meta"] == {"trace": 1}


@pytest.mark.parametrize("arguments", [None, [], "x"])
def test_a_call_without_arguments_repeats_none(arguments: Any) -> None:
    schema = {"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    sent = stateless().request("tools/call", {"name": "a", "arguments": arguments}, input_schema=schema)
    assert "Mcp-Param-Region" not in sent.headers
    assert sent.headers["mcp-name"] == "a"


def test_a_call_of_the_older_era() -> None:
    core = older()
    sent = core.request("tools/call", {"name": "add"}, wants_progress=True, input_schema={})
    assert content(sent)["params"] == {"name": "add", "_meta": {"progressToken": sent.id}}
    assert "mcp-name" not in sent.headers
    request = read(sent.body)
    assert era_of(PostHeaders(version=sent.headers["mcp-protocol-version"]), request) is Era.OLDER


@pytest.mark.parametrize("core", [stateless, older])
def test_answers_find_their_requests(core: Any) -> None:
    core = core()
    first, second = core.request("tools/list"), core.request("prompts/list")
    assert first.id != second.id
    assert core.receive(result(second, {"prompts": []})) == Answer(second.id, "prompts/list", {"prompts": []})
    assert core.receive(result(second, {"prompts": []})) is None
    found = core.receive(error(first, -32603))
    assert isinstance(found, Refused)
    assert (found.id, found.method, found.error.code) == (first.id, "tools/list", -32603)
    assert core.receive(error_bytes(None, McpError(-32700, "no"))) is None
    assert core.failed(99, 500) is None
    assert core.take() == []


def test_a_refusal_over_http_says_what_the_body_says() -> None:
    core = stateless()
    sent = core.request("tools/call", {"name": "x"})
    assert sent.id is not None
    found = core.failed(sent.id, 400, error(sent, -32020))
    assert isinstance(found, Refused)
    assert (found.error.code, found.error.http_status) == (-32020, 400)
    sent = core.request("server/discover")
    assert isinstance(core.failed(sent.id or 0, 404), Refused)


def test_a_second_discover_is_a_request_like_any_other() -> None:
    core = stateless()
    sent = core.request("server/discover")
    assert isinstance(core.receive(result(sent, {"supportedVersions": []})), Answer)


def test_notifications_are_handed_on() -> None:
    core = older()
    found = core.receive(notification_bytes("notifications/progress", {"progressToken": 2, "progress": 1}))
    assert found == Told("notifications/progress", {"progressToken": 2, "progress": 1})


def test_what_is_no_message_is_an_error() -> None:
    with pytest.raises(McpError):
        older().receive("nonsense")


def test_questions_are_answered_by_whoever_can() -> None:
    core = older(answers=["sampling/createMessage"])
    asked = core.receive(request_bytes("q1", "sampling/createMessage", {"maxTokens": 1}))
    assert asked == Asked("q1", "sampling/createMessage", {"maxTokens": 1})
    assert content(core.answer(asked, {"role": "assistant"})) == {
        "jsonrpc": "2.0",
        "id": "q1",
        "result": {"role": "assistant"},
    }
    assert content(core.answer(asked, McpError(-1, "no")))["error"] == {"code": -1, "message": "no"}
    assert core.take() == []


def test_other_questions_are_refused_and_a_ping_is_answered() -> None:
    core = older(answers=["sampling/createMessage"])
    assert core.receive(request_bytes(5, "roots/list")) is None
    assert core.receive(request_bytes(6, "ping")) is None
    refused, answered = core.take()
    assert content(refused)["error"]["code"] == -32601
    assert content(answered) == {"jsonrpc": "2.0", "id": 6, "result": {}}
    assert answered.headers["mcp-session-id"] == "s-1"


def test_a_call_is_cancelled() -> None:
    core = older()
    sent = core.request("tools/call", {"name": "slow"})
    assert sent.id is not None
    found = content(core.cancel(sent.id, "too slow"))
    assert found["params"] == {"requestId": sent.id, "reason": "too slow"}
    assert core.receive(result(sent, {})) is None
    assert content(core.cancel(77))["params"] == {"requestId": 77}
    again = core.request("tools/list")
    core.forget(again.id or 0)
    assert core.receive(result(again, {})) is None


QUESTIONS = {"who": {"method": "elicitation/create", "params": {"message": "Who?"}}}


def test_input_that_is_wanted_first() -> None:
    core = stateless(answers=["elicitation/create"])
    schema = {"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    params = {"name": "greet", "arguments": {"region": "eu"}}
    sent = core.request("tools/call", params, input_schema=schema)
    wanted = core.receive(result(sent, input_required(QUESTIONS, "state")))
    assert isinstance(wanted, InputWanted)
    assert (wanted.id, wanted.questions, wanted.state) == (sent.id, QUESTIONS, "state")
    again = core.retry(wanted, {"who": {"action": "accept", "content": {"name": "Ada"}}})
    request = read(again.body)
    assert isinstance(request, Request)
    envelope = read_envelope(None, request)
    assert again.id != sent.id
    assert envelope.input_responses == {"who": {"action": "accept", "content": {"name": "Ada"}}}
    assert envelope.request_state == "state"
    assert (request.params["name"], request.params["arguments"]) == ("greet", {"region": "eu"})
    assert again.headers["Mcp-Param-Region"] == "eu"
    found = core.receive(result(again, complete({"content": []}, "tools/call", SERVER)))
    assert isinstance(found, Answer)


def test_a_retry_without_a_state() -> None:
    core = stateless()
    sent = core.request("tools/call", {"name": "greet"})
    wanted = core.receive(result(sent, {"resultType": "input_required"}))
    assert wanted == InputWanted(sent.id or 0, "tools/call", {"name": "greet"}, {}, None)
    assert isinstance(wanted, InputWanted)
    assert "requestState" not in content(core.retry(wanted, {}))["params"]


@pytest.mark.parametrize("questions", [QUESTIONS, {"x": 3}, {"x": {}}])
def test_input_that_nobody_gives_is_a_refusal(questions: dict[str, Any]) -> None:
    core = stateless(answers=["sampling/createMessage"])
    sent = core.request("tools/call", {"name": "greet"})
    found = core.receive(result(sent, input_required(questions, "state")))
    assert isinstance(found, Refused)
    assert found.error.code == -32021
    assert "nobody here gives" in str(found.error)


def test_in_the_older_era_a_result_is_a_result() -> None:
    core = older()
    sent = core.request("tools/call", {"name": "x"})
    assert isinstance(core.receive(result(sent, {"resultType": "input_required"})), Answer)


def test_both_sides_shake_hands() -> None:
    core, server = ClientCore(ME), OlderSession()
    opening = core.opening()
    request = read(opening.body)
    assert isinstance(request, Request)
    with pytest.raises(McpError) as caught:
        server.check(request)
    assert core.receive(error_bytes(request.id, caught.value)) is None
    (begin,) = core.take()
    request = read(begin.body)
    assert isinstance(request, Request)
    found = core.receive(result_bytes(request.id, server.initialize(request, SERVER, {"tools": {}}, "Play.")))
    assert found == Opened(Era.OLDER, LATEST_OLDER, SERVER, {"tools": {}}, "Play.")
    assert server.client_info == ME
