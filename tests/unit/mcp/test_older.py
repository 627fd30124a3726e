"""A session of the older era: the handshake, what may be asked, and what is open between both sides."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openenv.mcp.messages import McpError, Notification, Request, Response
from openenv.mcp.older import METHODS, Answered, OlderSession, Phase, check_batch
from openenv.mcp.versions import LATEST_OLDER, OLDER

SERVER = {"name": "env", "version": "1"}
INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"sampling": {}, "elicitation": {}},
    "clientInfo": {"name": "c", "version": "2"},
}


def begin(session: OlderSession, instructions: str | None = None, **change: Any) -> dict[str, Any]:
    request = Request(1, "initialize", {**INITIALIZE, **change})
    return session.initialize(request, SERVER, {"tools": {}}, instructions)


@pytest.fixture
def session() -> OlderSession:
    found = OlderSession()
    begin(found)
    return found


def test_the_handshake() -> None:
    session = OlderSession()
    assert (session.phase, session.version) == (Phase.FRESH, LATEST_OLDER)
    assert begin(session) == {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": SERVER}
    assert session.phase is Phase.GREETED
    assert (session.version, session.client_info) == ("2025-06-18", {"name": "c", "version": "2"})
    assert session.notified(Notification("notifications/initialized")) is None
    assert session.phase is Phase.INITIALIZED


def test_instructions_are_told_where_there_are_some() -> None:
    assert begin(OlderSession(), "Play.")["instructions"] == "Play."


def test_initialized_counts_after_initialize_alone() -> None:
    session = OlderSession()
    session.notified(Notification("notifications/initialized"))
    assert session.phase is Phase.FRESH


def test_an_unknown_version_is_answered_with_ours() -> None:
    session = OlderSession()
    assert begin(session, protocolVersion="2099-01-01")["protocolVersion"] == LATEST_OLDER
    assert session.version == LATEST_OLDER


@pytest.mark.parametrize("change", [{"protocolVersion": None}, {"protocolVersion": 3}, {"capabilities": []}])
def test_a_wrong_initialize_begins_nothing(change: dict[str, Any]) -> None:
    session = OlderSession()
    with pytest.raises(McpError) as caught:
        begin(session, **change)
    assert (caught.value.code, caught.value.id) == (-32602, 1)
    assert session.phase is Phase.FRESH


def test_a_client_need_not_say_who_it_is() -> None:
    session = OlderSession()
    begin(session, capabilities=None, clientInfo="me")
    assert (session.client_info, session.client_capabilities) == ({}, {})


def test_a_session_begins_once(session: OlderSession) -> None:
    with pytest.raises(McpError, match="has begun") as caught:
        begin(session)
    assert (caught.value.code, caught.value.http_status) == (-32600, 400)


@pytest.mark.parametrize("method", sorted(METHODS - {"initialize", "ping"}))
def test_the_handshake_comes_first(method: str, session: OlderSession) -> None:
    with pytest.raises(McpError, match="initialize") as caught:
        OlderSession().check(Request(1, method))
    assert (caught.value.code, caught.value.http_status) == (-32600, 400)
    session.check(Request(1, method))


def test_a_ping_may_come_at_any_time(session: OlderSession) -> None:
    OlderSession().check(Request(1, "ping"))
    session.check(Request(1, "ping"))


@pytest.mark.parametrize("method", ["server/discover", "subscriptions/listen", "tasks/list", "nope"])
def test_what_is_not_there(method: str, session: OlderSession) -> None:
    for one in (OlderSession(), session):
        with pytest.raises(McpError, match=method) as caught:
            one.check(Request("x", method))
        assert (caught.value.code, caught.value.id, caught.value.http_status) == (-32601, "x", 200)


def logged(level: str) -> Notification:
    return Notification("notifications/message", {"level": level, "data": 1})


def test_the_level_of_messages(session: OlderSession) -> None:
    assert [session.wants(logged(level)) for level in ("debug", "info", "emergency", "loud")] == [
        False,
        True,
        True,
        False,
    ]
    assert session.set_level(Request(1, "logging/setLevel", {"level": "error"})) == {}
    assert [session.wants(logged(level)) for level in ("warning", "error", "critical")] == [False, True, True]


@pytest.mark.parametrize("level", [None, "loud", 3, []])
def test_there_is_no_such_level(session: OlderSession, level: Any) -> None:
    with pytest.raises(McpError, match="debug") as caught:
        session.set_level(Request(1, "logging/setLevel", {"level": level}))
    assert caught.value.code == -32602
    assert session.log_level == "info"


def test_resources_are_heard_of_by_their_uri(session: OlderSession) -> None:
    changed = Notification("notifications/resources/updated", {"uri": "a://b"})
    assert not session.wants(changed)
    assert session.subscribe(Request(1, "resources/subscribe", {"uri": "a://b"})) == {}
    assert session.wants(changed)
    assert session.subscribe(Request(2, "resources/unsubscribe", {"uri": "a://b"})) == {}
    assert not session.wants(changed)
    assert session.subscribe(Request(3, "resources/unsubscribe", {"uri": "a://b"})) == {}


def test_other_notices_are_for_all(session: OlderSession) -> None:
    assert session.wants(Notification("notifications/tools/list_changed"))


def test_subscriptions_are_bounded(session: OlderSession) -> None:
    for number in range(1000):
        session.subscribe(Request(1, "resources/subscribe", {"uri": f"a://{number}"}))
    session.subscribe(Request(1, "resources/subscribe", {"uri": "a://7"}))
    with pytest.raises(McpError, match="1000"):
        session.subscribe(Request(1, "resources/subscribe", {"uri": "a://more"}))


def test_a_subscription_needs_a_uri(session: OlderSession) -> None:
    with pytest.raises(McpError, match="uri"):
        session.subscribe(Request(1, "resources/subscribe", {}))


@pytest.mark.parametrize(("id", "cancelled"), [(3, 3), ("a", "a"), (None, None), ([], None)])
def test_a_cancelled_request(session: OlderSession, id: Any, cancelled: Any) -> None:
    assert session.notified(Notification("notifications/cancelled", {"requestId": id})) == cancelled


def test_other_notifications_say_nothing(session: OlderSession) -> None:
    assert session.notified(Notification("notifications/progress", {"requestId": 3})) is None


@pytest.mark.parametrize("version", OLDER)
def test_priming_is_for_clients_that_know_it(version: str) -> None:
    session = OlderSession()
    begin(session, protocolVersion=version)
    assert session.takes_priming is (version == "2025-11-25")


def test_what_the_client_declares(session: OlderSession) -> None:
    assert session.declares({"sampling": {}})
    assert not session.declares({"roots": {}})


def test_a_question_and_its_answer(session: OlderSession) -> None:
    id, wire = session.ask("elicitation/create", {"message": "?"}, "call 1")
    other, _ = session.ask("roots/list", {}, "call 2")
    assert json.loads(wire) == {
        "jsonrpc": "2.0",
        "id": id,
        "method": "elicitation/create",
        "params": {"message": "?"},
    }
    assert session.open_questions == (id, other)
    assert session.answered(Response(id, {"action": "accept"})) == Answered("call 1", {"action": "accept"}, None)
    assert session.answered(Response(id, {"action": "accept"})) is None
    refused = McpError(-1, "no")
    assert session.answered(Response(other, error=refused)) == Answered("call 2", None, refused)
    assert session.open_questions == ()


@pytest.mark.parametrize("id", [None, 1, "server-9"])
def test_an_answer_to_nothing(session: OlderSession, id: Any) -> None:
    session.ask("roots/list", {}, "call")
    assert session.answered(Response(id, {})) is None


def test_a_question_is_taken_back(session: OlderSession) -> None:
    id, _ = session.ask("roots/list", {}, "call")
    wire = session.withdraw(id, "the call was cancelled")
    assert wire is not None
    found = json.loads(wire)
    assert found["method"] == "notifications/cancelled"
    assert found["params"] == {"requestId": id, "reason": "the call was cancelled"}
    assert session.withdraw(id) is None
    assert session.answered(Response(id, {})) is None
    second, _ = session.ask("roots/list", {}, "call")
    assert second != id
    assert json.loads(session.withdraw(second) or b"")["params"] == {"requestId": second}


@pytest.mark.parametrize("version", OLDER)
def test_a_session_that_began_elsewhere_goes_on(version: str) -> None:
    session = OlderSession()
    session.resume(version)
    assert (session.phase, session.version) == (Phase.INITIALIZED, version)
    session.check(Request(1, "tools/call"))
    with pytest.raises(McpError, match="has begun"):
        begin(session)


@pytest.mark.parametrize("version", [None, "2024-11-05", "2025-03-26"])
def test_arrays_are_of_the_oldest_versions(version: str | None) -> None:
    check_batch([Request(1, "ping"), McpError(-32600, "no message"), Response(2, {})], version)


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25", "2026-07-28", "nonsense"])
def test_later_versions_are_told_which_have_arrays(version: str) -> None:
    with pytest.raises(McpError, match=f"MCP {version} has none, 2024-11-05 and 2025-03-26 have") as caught:
        check_batch([Request(1, "ping")], version)
    assert (caught.value.code, caught.value.http_status) == (-32600, 400)


def test_a_session_does_not_begin_in_an_array() -> None:
    with pytest.raises(McpError, match="'initialize' is sent alone") as caught:
        check_batch([Request(1, "ping"), Request(2, "initialize")], "2025-03-26")
    assert (caught.value.code, caught.value.id) == (-32600, 2)
