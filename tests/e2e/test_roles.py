"""Every role at every route of a real server: who is let in, and that no agent ever learns of a reward."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import WebSocketRoute
from tests.e2e import guarded as world
from tests.e2e.guarded import INITIALIZE, MCP, REWARD, TOKENS, Counting, Guarded, Visit, guarded, handshake
from tests.e2e.test_production import started

from openenv import GenericEnvClient
from openenv.app import create_app
from openenv.errors import Forbidden, Unauthorized
from openenv.server import AccessOptions, Role, application

pytestmark = [pytest.mark.e2e, pytest.mark.agents]

OPEN, CONTROL, READ = "anybody", "orchestrator", "grader"
LOOK, WATCH, PLAY, OWN = "grader and observer", "the events", "MCP of one session", "MCP of the token's session"

MATRIX: dict[tuple[str, str], str] = {
    ("GET", "/health"): OPEN,
    ("GET", "/ready"): OPEN,
    ("POST", "/reset"): CONTROL,
    ("POST", "/step"): CONTROL,
    ("GET", "/state"): READ,
    ("POST", "/sessions"): CONTROL,
    ("DELETE", "/sessions/{session_id}"): CONTROL,
    ("GET", "/sessions/{session_id}/state"): READ,
    ("GET", "/sessions/{session_id}/outcome"): READ,
    ("GET", "/sessions/{session_id}/events"): WATCH,
    ("POST", "/sessions/{session_id}/agent"): CONTROL,
    ("GET", "/schema"): LOOK,
    ("GET", "/metadata"): LOOK,
    ("GET", "/lock"): LOOK,
    ("POST", "/mcp"): OWN,
    ("GET", "/mcp"): OWN,
    ("DELETE", "/mcp"): OWN,
    ("POST", "/sessions/{session_id}/mcp"): PLAY,
    ("GET", "/sessions/{session_id}/mcp"): PLAY,
    ("DELETE", "/sessions/{session_id}/mcp"): PLAY,
    ("WS", "/ws"): CONTROL,
    ("WS", "/mcp"): CONTROL,
}
"""Every route of the application. One that is added is missing here until somebody has decided who may use it."""

NOBODY = dict.fromkeys(("none", "wrong", "expired"), 401)
REFUSED = {**NOBODY, "foreign agent": 403, "agent": 403, "grader": 403, "observer": 403, "orchestrator": 403}
EXPECTED: dict[str, dict[str, int]] = {  # 0: let in
    OPEN: dict.fromkeys(REFUSED, 0),
    CONTROL: {**REFUSED, "orchestrator": 0},
    READ: {**REFUSED, "grader": 0, "orchestrator": 0},
    LOOK: {**REFUSED, "grader": 0, "observer": 0, "orchestrator": 0},
    WATCH: {**REFUSED, "grader": 0, "observer": 0, "orchestrator": 0},
    PLAY: {**REFUSED, "foreign agent": 401, "agent": 0, "orchestrator": 0},
    OWN: {**REFUSED, "foreign agent": 0, "agent": 0, "orchestrator": 0},
}

LISTENERS = ("only", "main", "agents")
TURNS = 3
"""Requests in a row, each over a connection of its own, of which each worker gets some sooner or later."""


@pytest.fixture(scope="module", params=["light", "whole"])
def servers(request: pytest.FixtureRequest) -> Iterator[dict[str, tuple[Guarded, str]]]:
    """The server and the URL of each kind of listener, before and after the application became a FastAPI."""
    before = application._WANT_IT_WHOLE
    application._WANT_IT_WHOLE = () if request.param == "light" else ("fastapi",)
    try:
        with guarded() as one, guarded(agent_port=0, sockets="asgi") as two:
            assert two.agent_url is not None
            assert (type(one.app) is FastAPI) == (request.param == "whole")
            yield {"only": (one, one.url), "main": (two, two.url), "agents": (two, two.agent_url)}
    finally:
        application._WANT_IT_WHOLE = before


@pytest.fixture(scope="module")
def workers() -> Iterator[Guarded]:
    """A server of two processes, with a port for agents."""
    tokens = {f"OPENENV_{role.upper()}_TOKEN": token for role, token in TOKENS.items()}
    several = ("--workers", "2", "--agent-port", "0", "--journal-mode", "off", "--max-sessions", "200")
    with started(f"{world.__file__}:Counting", "--auth", *several, **tokens) as (_, told):
        yield Guarded(told["URL"], told["agents"].removesuffix("/mcp"), None)


def routes_of(app: Any) -> set[tuple[str, str]]:
    found = set()
    for route in app.routes:
        if isinstance(route, WebSocketRoute):
            found.add(("WS", route.path))
        else:
            assert isinstance(route, APIRoute), f"{route} is no endpoint"
            found |= {(method, route.path) for method in route.methods}
    return found


def test_every_route_has_a_row() -> None:
    app = create_app(Counting, auth=AccessOptions(True, TOKENS))
    assert routes_of(app) == {*MATRIX}


def holds(visit: Visit, route: tuple[str, str], listener: str, turns: int = 1) -> None:
    """Have everybody ask for a route at a kind of listener."""
    expected = dict(EXPECTED[MATRIX[route]])
    over_mcp = route[1].endswith("/mcp") and route[0] != "WS"
    if listener == "main" and over_mcp:  # agents have a port of their own
        expected |= {"agent": 403} | ({"foreign agent": 403} if MATRIX[route] == OWN else {})
    if listener == "agents" and not over_mcp and route[1] != "/health":
        expected = dict.fromkeys(expected, 404)
    everybody = [(who, token) for who, token in visit.tokens.items() for _ in range(turns)]
    for who, token in everybody[: 1 - turns or None]:  # what the orchestrator does may be done once
        status, headers = visit.ask(*route, token)
        told = f"{who} at {' '.join(route)}: {status}"
        if who == "foreign agent" and MATRIX[route] == OWN and route[0] != "POST" and expected[who] == 0:
            assert status in (401, 403, 404), told  # to whom that MCP session is not there
        elif visit.server.app is None and who.endswith("agent") and expected[who] == 403:
            assert status in (401, 403), told  # the worker that is asked may not be the one that knows the token
        elif expected[who]:
            assert status == expected[who], told
        else:
            assert status < 400, told
        assert (headers.get("www-authenticate") == "Bearer") == (status == 401), told


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("route", MATRIX, ids=" ".join)
def test_every_role_at_every_route(
    servers: dict[str, tuple[Guarded, str]], listener: str, route: tuple[str, str]
) -> None:
    visit = Visit(*servers[listener])
    try:
        holds(visit, route, listener)
    finally:
        visit.close()


@pytest.mark.parametrize("worker", ["0", "1"])
@pytest.mark.parametrize("listener", ["main", "agents"])
@pytest.mark.parametrize("route", MATRIX, ids=" ".join)
def test_every_role_at_every_route_of_several_workers(
    workers: Guarded, listener: str, route: tuple[str, str], worker: str
) -> None:
    """Of a session of either one, asked at any."""
    url = {"main": workers.url, "agents": workers.agent_url}[listener]
    assert url is not None
    visit = Visit(workers, url, worker)
    try:
        holds(visit, route, listener, TURNS)
    finally:
        visit.close()


@pytest.mark.parametrize("worker", ["0", "1"])
def test_nobody_can_say_at_which_port_he_came_in(workers: Guarded, worker: str) -> None:
    """Neither where the request is forwarded nor where it is not."""
    visit = Visit(workers, workers.url, worker)
    main, agents = workers.url.rpartition(":")[2], str(workers.agent_url).rpartition(":")[2]
    session, token = visit.session["session_id"], visit.session["agent_token"]

    def ask(own: str, other: str, token: str, path: str) -> int:
        said = {
            "Host": f"127.0.0.1:{other}",
            "Server": f"127.0.0.1:{other}",
            "Forwarded": f"host=127.0.0.1:{other};by=127.0.0.1:{other}",
            "X-Forwarded-Host": f"127.0.0.1:{other}",
            "X-Forwarded-Port": other,
            "X-Forwarded-Server": f"127.0.0.1:{other}",
            "X-OpenEnv-Session": session,
        }
        with workers.client(token, f"http://127.0.0.1:{own}", **{**MCP, **said}) as client:
            if path.endswith("/mcp"):
                return client.post(path, json=INITIALIZE).status_code
            return client.get(path).status_code

    try:
        for _ in range(4 * TURNS):
            for path in ("/mcp", f"/sessions/{session}/mcp"):
                assert ask(main, agents, token, path) == 403
                assert ask(agents, main, token, path) == 200
            for path in ("/state", f"/sessions/{session}/state"):
                assert ask(agents, main, TOKENS[Role.ORCHESTRATOR], path) == 404
                assert ask(main, agents, TOKENS[Role.ORCHESTRATOR], path) == 200
    finally:
        visit.close()


def test_who_has_no_token_does_not_learn_which_sessions_there_are(servers: dict[str, tuple[Guarded, str]]) -> None:
    server, _ = servers["only"]
    paths = ("mcp", "state", "outcome", "events", "agent")
    for token, expected in ((None, 401), ("wrong", 401), (TOKENS[Role.ORCHESTRATOR], 404)):
        with server.client(token) as client:
            for path in paths:
                method = "POST" if path in ("mcp", "agent") else "GET"
                answer = client.request(method, f"/sessions/none/{path}", json=INITIALIZE, headers=MCP)
                assert (path, answer.status_code) == (path, expected)


# What an agent learns


def test_an_agent_never_learns_of_a_reward_and_never_moves_an_episode_but_by_tools(
    servers: dict[str, tuple[Guarded, str]],
) -> None:
    server, url = servers["only"]
    visit = Visit(server, url)
    session, token = visit.session["session_id"], visit.session["agent_token"]
    said: list[bytes] = []

    def rpc(method: str, **params: Any) -> dict[str, Any]:
        own = {**MCP, "Mcp-Session-Id": visit.mcp_id}
        with server.client(token, url, **own) as agent:
            answer = agent.post("/mcp", json={"jsonrpc": "2.0", "id": 2, "method": method, "params": params})
        said.append(answer.content + repr(answer.headers).encode())
        text = answer.text
        if "text/event-stream" in answer.headers["content-type"]:
            text = next(line[6:] for line in text.splitlines() if line.startswith("data: {"))
        return json.loads(text)  # type: ignore[no-any-return]

    try:
        rpc("tools/list")
        assert rpc("tools/call", name="up", arguments={})["result"]["content"][0]["text"] == "1"
        assert rpc("tools/call", name="up", arguments={"by": "no"})["result"]["isError"]
        assert "error" in rpc("tools/call", name="reset", arguments={})
        for method in ("reset", "step", "state", "openenv/session/close", "openenv/session/create"):
            rpc(method)
        rpc("resources/list")
        rpc("prompts/list")
        assert rpc("tools/call", name="up", arguments={"by": 5})["result"]["content"][0]["text"] == "6"
        rpc("tools/call", name="up", arguments={})
        for method, path in MATRIX:
            at = path.replace("{session_id}", session)
            if method == "WS":
                said.append(repr(handshake(url, at, token)).encode())
            elif not path.endswith("/mcp"):
                with server.client(token, url) as agent:
                    answer = agent.request(method, at)
                said.append(answer.content + repr(answer.headers).encode())
        outcome = visit.trainer.get(f"/sessions/{session}/outcome").json()
        assert (outcome["done"], outcome["total_reward"]) == (True, 3 * REWARD)
        assert outcome["steps"] >= 4
        everything = b"\n".join(said)
        assert b"inputSchema" in everything
        for word in (str(REWARD).encode(), b"86753", b'"reward"', b"total_reward"):
            assert word not in everything
    finally:
        visit.close()


# The other ways in


def test_our_client_shows_its_token(servers: dict[str, tuple[Guarded, str]]) -> None:
    _, url = servers["only"]
    with GenericEnvClient(url, token=TOKENS[Role.ORCHESTRATOR]).sync() as client:
        client.reset()
        assert client.step({"type": "call_tool", "tool_name": "up"}).reward == REWARD
    for wrong, error in ((None, Unauthorized), ("none", Unauthorized), (TOKENS[Role.GRADER], Forbidden)):
        with (
            pytest.raises(error),
            GenericEnvClient(url, token=wrong, reconnect_timeout_s=0).sync() as client,
        ):
            client.reset()


@pytest.mark.parametrize("headers", [{"Host": "evil.example.com"}, {"Origin": "http://evil.example.com"}])
def test_foreign_hosts_and_pages_are_not_let_in(
    servers: dict[str, tuple[Guarded, str]], headers: dict[str, str]
) -> None:
    server, url = servers["only"]
    with server.client(TOKENS[Role.ORCHESTRATOR], **headers) as client:
        for method, path in (("POST", "/reset"), ("GET", "/state"), ("GET", "/schema"), ("POST", "/sessions")):
            assert client.request(method, path).status_code == 403
        assert client.post("/mcp", json=INITIALIZE, headers=MCP).status_code == 403
        assert client.get("/health").status_code == 200
    assert handshake(url, "/ws", TOKENS[Role.ORCHESTRATOR], **headers)[0] == 403
    assert handshake(url, "/ws", TOKENS[Role.ORCHESTRATOR], Origin="http://localhost:1234")[0] == 101


def test_the_pages_are_not_there_where_nobody_could_show_a_token(servers: dict[str, tuple[Guarded, str]]) -> None:
    server, _ = servers["only"]
    with server.client(TOKENS[Role.ORCHESTRATOR]) as client:
        assert [client.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")] == [404] * 3


def test_the_access_of_an_agent_works_as_it_is_told(servers: dict[str, tuple[Guarded, str]], workers: Guarded) -> None:
    for server in (servers["only"][0], servers["main"][0], *[workers] * 2 * TURNS):
        visit = Visit(server, server.url)
        try:
            told = visit.trainer.post(f"/sessions/{visit.session['session_id']}/agent").json()
            assert told["mcp_url"].startswith(server.agent_url or server.url)
            [(name, config)] = told["clients"]["mcp_servers"]["mcpServers"].items()
            answer = httpx.post(config["url"], headers={**MCP, **config["headers"]}, json=INITIALIZE)
            assert answer.json()["result"]["serverInfo"]["name"] == name
            assert told["clients"]["claude_code_json"] == config
            for text in (told["clients"]["claude_code"], told["clients"]["codex"]):
                assert told["mcp_url"] in text
                assert told["token"] in text
            with GenericEnvClient(server.url, token=TOKENS[Role.ORCHESTRATOR]).sync() as client:
                client.reset()
                assert client.agent_access().mcp_url.startswith(server.agent_url or server.url)
        finally:
            visit.close()
