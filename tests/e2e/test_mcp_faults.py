"""Bad input over MCP, in both eras: foreign sessions, tokens, names and pages, and what is no message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.mcp_fault_worlds import Faults
from tests.e2e.mcp_raw import ERAS, JSON, STATELESS, Exchange, Older, Stateless
from tests.e2e.mcp_stage import Era, Stage, staged

from openenv import SyncEnvClient

pytestmark = [pytest.mark.e2e, pytest.mark.agents]

BOTH = pytest.mark.parametrize("era", ERAS)
INVALID, INVALID_REQUEST, NOT_FOUND = -32602, -32600, -32001
LIMIT = 64 * 1024


@pytest.fixture
def stage() -> Iterator[Stage]:
    with staged(max_message_bytes=LIMIT) as found:
        yield found


@BOTH
def test_control_is_no_tool_and_no_method(era: Era, stage: Stage) -> None:
    agent = stage.agent(era)
    for name in ("reset", "step", "state", "close"):
        assert agent.call(name)["error"]["code"] == INVALID
        assert agent.ask(name)["error"]["code"] == -32601
    assert stage.trainer.outcome().phase == "running"


def test_a_foreign_mcp_session_is_not_found(stage: Stage) -> None:
    agent, other = stage.agent(Older), stage.joined(Older(stage.url))
    own, foreign = agent.headers["mcp-session-id"], other.headers["mcp-session-id"]
    path = f"/sessions/{stage.session}/mcp"
    for agent_path, wrong in [("/mcp", foreign), (path, foreign)] + [
        (one, bad) for one in ("/mcp", path) for bad in ("invented", "a.b.c", own + "x", own[:-1], "\xff.\xff.\xff", "")
    ]:
        agent.path, agent.headers["mcp-session-id"] = agent_path, wrong
        for method in ("POST", "GET", "DELETE"):
            exchange = Exchange(stage.url, method, agent_path, agent.headers, _body("tools/list"))
            answer = exchange.final()
            assert (exchange.status, answer["error"]["code"]) == (404, NOT_FOUND), (method, wrong)
    agent.headers["mcp-session-id"] = own
    assert agent.text("add", a=1) == (False, "2")
    assert other.leave() == 200
    left = other.send("tools/list")
    assert (left.final()["error"]["code"], left.status) == (NOT_FOUND, 404)
    del agent.headers["mcp-session-id"]
    assert agent.send("tools/list").status == 400


@BOTH
def test_a_token_that_is_not_good_is_refused(era: Era, stage: Stage) -> None:
    good = stage.trainer.agent_access().token
    with staged(Faults) as elsewhere:
        foreign = elsewhere.access.token
    session, ordinal, mac = good.split(".")
    agent = stage.agent(era)
    path = f"/sessions/{stage.session}/mcp"
    bad = [foreign, "x", f"{session}.2.{mac}", f"{session}.{ordinal}.{mac[:-1]}", "nobody.1.x"]
    for token in bad:
        agent.headers["authorization"] = f"Bearer {token}"
        for where in (path,) if token == "x" else (path, "/mcp"):
            agent.path = where
            exchange = agent.send("tools/list")
            exchange.read()
            assert (exchange.status, exchange.header("www-authenticate")) == (401, "Bearer"), (token, where)


@BOTH
def test_a_token_from_before_the_first_episode_is_good_for_it(era: Era, stage: Stage) -> None:
    with SyncEnvClient(stage.url) as trainer:
        token = trainer.agent_access().token
        agent = stage.joined(era(stage.url, "/mcp", token))
        assert agent.text("add", a=1) == (
            True,
            "No episode is running. Whoever controls it has to begin one; the tools are there then.",
        )
        trainer.reset()
        assert agent.text("add", a=1) == (False, "2")
        trainer.reset()
        assert agent.begin("add", {"a": 1}).status == 401
        assert trainer.outcome().steps == 0


@BOTH
def test_a_token_expires_with_its_episode(era: Era, stage: Stage) -> None:
    agent = stage.agent(era)
    assert agent.text("add", a=1) == (False, "2")
    stage.trainer.reset()
    for path in ("/mcp", f"/sessions/{stage.session}/mcp"):
        agent.path = path
        exchange = agent.begin("add", {"a": 1})
        exchange.read()
        assert exchange.status == 401
    assert stage.steps == 0
    assert stage.agent(era).text("add", a=1) == (False, "2")


@BOTH
@pytest.mark.parametrize("path", ["/mcp", "/sessions/{}/mcp"])
def test_foreign_names_and_pages_are_forbidden(era: Era, path: str, stage: Stage) -> None:
    agent = stage.agent(era, path.format(stage.session))
    for bad in ({"host": "evil.example"}, {"origin": "https://evil.example"}, {"origin": "null"}):
        exchange = agent.send("tools/list", **bad)
        exchange.read()
        assert exchange.status == 403, bad
    assert "result" in agent.send("tools/list", origin=stage.url).final()


@BOTH
def test_a_notification_is_never_answered(era: Era, stage: Stage) -> None:
    agent = stage.agent(era)
    told = {"mcp-protocol-version": era.version}
    for method in ("notifications/initialized", "notifications/cancelled", "tools/call", "nonsense"):
        params = {"name": "add", "arguments": {"a": 1}}
        exchange = agent.post(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode(), **told)
        assert (exchange.status, exchange.read()) == (202, b"")
    assert stage.steps == 0


def test_versions_that_nobody_knows(stage: Stage) -> None:
    older = stage.agent(Older, begun=False)
    assert older.initialize("banana")["protocolVersion"] == "2025-11-25"
    assert older.initialize("2024-11-05")["protocolVersion"] == "2024-11-05"
    for version in ("banana", "2026-01-01", ""):
        exchange = older.send("tools/list", **{"mcp-protocol-version": version})
        exchange.read()
        assert exchange.status == 400, version
    newer = stage.agent(Stateless)
    body = newer.send("tools/list", {"_meta": {"io.modelcontextprotocol/protocolVersion": "2099-01-01"}})
    assert (body.status, body.final()["error"]["code"]) == (400, -32020), "header and body differ"
    both = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2099-01-01"}}
    exchange = newer.send("tools/list", both, **{"mcp-protocol-version": "2099-01-01"})
    error = exchange.final()["error"]
    assert (exchange.status, error["code"]) == (400, -32022)
    assert STATELESS in error["data"]["supported"]


NO_MESSAGES = {
    b"": -32700,
    b"{": -32700,
    b"\xff\xfe": -32700,
    b"[" * 20_000: -32700,
    b'{"a":' * 10_000: -32700,
    b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":NaN}}': -32700,
    b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]': INVALID_REQUEST,
    b"5": INVALID_REQUEST,
    b'{"id":1,"method":"ping"}': INVALID_REQUEST,
    b'{"jsonrpc":"2.0","id":1}': INVALID_REQUEST,
    b'{"jsonrpc":"2.0","id":null,"method":"ping"}': INVALID_REQUEST,
    b'{"jsonrpc":"2.0","id":{},"method":"ping"}': INVALID_REQUEST,
    b'{"jsonrpc":"2.0","id":1,"method":5}': INVALID_REQUEST,
    b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[1]}': INVALID,
}


@BOTH
def test_what_is_no_message_is_refused(era: Era, stage: Stage) -> None:
    agent = stage.agent(era)
    told = {"mcp-protocol-version": era.version, "mcp-method": "tools/list"}
    for body, code in NO_MESSAGES.items():
        exchange = agent.post(body, **told)
        assert (exchange.status, exchange.final()["error"]["code"]) == (400, code), body[:80]
    exchange = agent.post(_body("x" * LIMIT), **told)
    assert exchange.status == 413
    assert "error" in exchange.final()
    assert agent.send("tools/list", **{"content-type": "text/plain"}).status == 415
    assert agent.send("tools/list", accept="text/html").status == 406
    assert agent.text("add", a=1) == (False, "2")


@BOTH
def test_parameters_of_a_wrong_kind_are_the_clients_mistake(era: Era, stage: Stage) -> None:
    agent = stage.agent(era)
    for method, params in [
        ("tools/call", {}),
        ("tools/call", {"name": "add", "arguments": [1]}),
        ("prompts/get", {"name": "none", "arguments": {}}),
        ("completion/complete", {"ref": 5}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": []}, "argument": "x"}),
        ("completion/complete", {}),
    ]:
        assert agent.ask(method, params)["error"]["code"] == INVALID, (method, params)
    assert agent.ask("resources/read", {"uri": "none://such"})["error"]["code"] in (INVALID, -32002)
    assert stage.steps == 0


def test_older_openenv_clients_see_no_reward_and_end_nothing(stage: Stage) -> None:
    """The JSON-RPC without a handshake, with an agent's token and at an episode's own URL."""
    agent = stage.agent(Older)
    told = {"content-type": "application/json"}
    by_token = ("/mcp", {**told, "authorization": agent.headers["authorization"]})
    for path, headers in (by_token, (f"/sessions/{stage.session}/mcp", told)):
        for method, params in [
            ("tools/call", {"name": "add", "arguments": {"a": 1}}),
            ("tools/call", {"name": "overpaid", "arguments": {}}),
            ("openenv/session/close", {"session_id": stage.session}),
        ]:
            exchange = Exchange(stage.url, "POST", path, headers, _body(method, params), agent.heard)
            assert ("error" in exchange.final()) == (params.get("name") != "add"), method
    assert (stage.steps, stage.trainer.outcome().phase) == (4, "running")


def _body(method: str, params: Any = None) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}).encode()


def test_other_methods_of_http_are_not_allowed(stage: Stage) -> None:
    for method in ("PUT", "PATCH", "OPTIONS"):
        assert Exchange(stage.url, method, "/mcp", JSON).status == 405
    for method in ("GET", "DELETE"):
        assert Exchange(stage.url, method, "/mcp", {"accept": "text/event-stream"}).status == 405
