"""Servers for real use, and guarded ones as ``openenv serve`` starts them."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.guarded import INITIALIZE, MCP, guarded, handshake
from tests.e2e.living import DEADLINE_S, line_of
from tests.e2e.worlds import write

from openenv import GenericEnvClient
from openenv.errors import ConnectFailed
from openenv.server import AccessOptions, Role, application

pytestmark = [pytest.mark.e2e, pytest.mark.agents]

CLI = "import sys; from openenv.cli import main; sys.exit(main(sys.argv[1:]))"

TELLER = '''"""Tells secrets, if it is let."""

import base64

from openenv import Observation
from openenv.environment import ToolEnvironment
from openenv.tools import ToolContext, tool


class Teller(ToolEnvironment):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed=None):
        self.asked = 0
        return Observation(metadata={"key": self.credentials.get("API_KEY")})

    @tool
    def tell(self, context: ToolContext, how: str = "plain") -> str:
        """Tell it."""
        self.asked += 1
        key = self.credentials["API_KEY"]
        context.log(f"log {key}")
        if how == "raise":
            raise RuntimeError(f"refused {key}")
        if how == "base64":
            return base64.b64encode(f"user:{key}".encode()).decode()
        return f"{self.asked} {key} {len(key)}"

    @tool(mode="simulation")
    def cheat(self) -> str:
        """Only in training."""
        return "cheated"
'''
SECRET = "s3cr3t-value-0123456789"


@contextmanager
def started(*arguments: str | Path, **variables: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The command, and what it tells by its labels."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("OPENENV_")}
    command = [sys.executable, "-c", CLI, "serve", "--port", "0", *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**own, **variables}
    ) as process:
        try:
            told: dict[str, str] = {}
            while "stop" not in told:
                label, _, value = line_of(process).partition("  ")
                told[label.strip()] = value.strip()
            yield process, told
        finally:
            process.terminate()
            try:
                process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def failure(*arguments: str | Path, **variables: str) -> str:
    own = {name: value for name, value in os.environ.items() if not name.startswith("OPENENV_")}
    command = [sys.executable, "-c", CLI, "serve", "--port", "0", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, env={**own, **variables})
    assert (ended.returncode, ended.stdout) == (1, "")
    return ended.stderr


class Agent:
    """An MCP client of the older era, with a session of its own."""

    def __init__(self, url: str, token: str | None = None) -> None:
        own = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.client = httpx.Client(base_url=url, headers={**MCP, **own}, timeout=DEADLINE_S)
        begun = self.client.post("/mcp", json=INITIALIZE)
        assert begun.status_code == 200, begun.text
        self.client.headers["Mcp-Session-Id"] = begun.headers["mcp-session-id"]
        self.said = begun.text

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        answer = self.client.post("/mcp", json={"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
        self.said += answer.text
        text = answer.text
        if "text/event-stream" in answer.headers["content-type"]:
            text = [line[6:] for line in text.splitlines() if line.startswith("data: {")][-1]
        return json.loads(text)  # type: ignore[no-any-return]

    def call(self, tool: str, **arguments: Any) -> str:
        text: str = self.ask("tools/call", name=tool, arguments=arguments)["result"]["content"][0]["text"]
        return text

    def tools(self) -> dict[str, Any]:
        return {one["name"]: one for one in self.ask("tools/list")["result"]["tools"]}

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()


GONE = [
    ("POST", "/reset"),
    ("POST", "/step"),
    ("GET", "/state"),
    ("POST", "/sessions"),
    ("DELETE", "/sessions/x"),
    ("GET", "/sessions/x/state"),
    ("GET", "/sessions/x/outcome"),
    ("GET", "/sessions/x/events"),
    ("POST", "/sessions/x/agent"),
]


@pytest.mark.parametrize("kind", ["light", "whole"])
@pytest.mark.parametrize("sockets", ["auto", "asgi"])
def test_nothing_in_production_controls_an_episode(kind: str, sockets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "_WANT_IT_WHOLE", () if kind == "light" else ("fastapi",))
    with guarded(mode="production", auth=None, sockets=sockets) as server, server.client() as client:
        with Agent(server.url) as first:
            assert first.call("up") == "1"
        for method, path in GONE:
            answer = client.request(method, path)
            assert (path, answer.status_code, answer.json()) == (path, 404, {"detail": "Not Found"})
        assert handshake(server.url, "/ws", None)[0] == 404
        with pytest.raises(ConnectFailed), GenericEnvClient(server.url, reconnect_timeout_s=0).sync() as env:
            env.reset()
        for path in ("/health", "/ready", "/schema", "/metadata", "/lock", "/docs"):
            assert client.get(path).status_code == 200
        documented = client.get("/openapi.json").json()["paths"]
        assert {*documented} == {
            "/health",
            "/ready",
            "/schema",
            "/metadata",
            "/lock",
            "/mcp",
            "/sessions/{session_id}/mcp",
        }


def test_each_client_has_an_environment_of_its_own() -> None:
    with guarded(mode="production", auth=None) as server, Agent(server.url) as one, Agent(server.url) as other:
        assert [one.call("up"), one.call("up"), other.call("up"), one.call("up")] == ["1", "2", "1", "3"]


def test_tokens_in_production() -> None:
    options = AccessOptions(True, {Role.AGENT: "token-of-all-agents", Role.OBSERVER: "token-of-the-observer"})
    with guarded(mode="production", auth=options) as server:
        with Agent(server.url, "token-of-all-agents") as agent:
            assert agent.call("up") == "1"
        for token, status in ((None, 401), ("wrong", 401), ("token-of-the-observer", 403)):
            with server.client(token) as client:
                assert client.post("/mcp", json=INITIALIZE, headers=MCP).status_code == status
        with server.client("token-of-all-agents") as client:
            assert [client.get(path).status_code for path in ("/schema", "/health", "/step")] == [403, 200, 404]


# As openenv serve starts them


@pytest.fixture
def teller(tmp_path: Path) -> Path:
    """A package that needs a credential."""
    write(tmp_path / "teller.py", TELLER)
    write(tmp_path / "openenv.yaml", "name: teller\napp: teller:Teller\ncredentials:\n  API_KEY: {env: TELLER_KEY}\n")
    return tmp_path


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_credential_is_used_and_never_told(teller: Path, isolation: str) -> None:
    journal = teller / "journal"
    arguments = (teller, "--isolation", isolation, "--journal", journal, "--debug")
    with started(*arguments, TELLER_KEY=SECRET) as (process, told), httpx.Client(base_url=told["URL"]) as client:
        opened = client.post("/sessions").json()
        said = client.post("/reset").text
        assert '"key":"[API_KEY]"' in said
        for how in ("plain", "raise", "base64"):
            action = {"type": "call_tool", "tool_name": "tell", "arguments": {"how": how}}
            said += client.post("/step", json={"action": action}).text
        assert f"1 [API_KEY] {len(SECRET)}" in said
        assert "refused [API_KEY]" in said
        said += client.get("/state").text + client.get("/lock").text + client.get("/metadata").text
        said += client.get(f"/sessions/{opened['session_id']}/events?follow=0").text
        with Agent(told["URL"]) as agent:
            agent.call("tell")
            agent.ask("tools/call", name="tell", arguments={"how": "raise"}, _meta={"progressToken": 1})
            said += agent.said
        process.terminate()
        out, err = process.communicate(timeout=DEADLINE_S)
    kept = b"".join(path.read_bytes() for path in journal.rglob("*") if path.is_file())
    assert b"[API_KEY]" in kept
    for text in (said.encode(), kept, out.encode()):
        assert SECRET.encode() not in text
        assert b"c2VjcmV0" not in text
    assert "s3cr3t" not in said
    assert err is not None


def test_missing_credentials_are_one_line(teller: Path) -> None:
    assert failure(teller) == (
        "error: teller needs credentials that are not there: API_KEY (set TELLER_KEY or TELLER_KEY_FILE)\n"
    )
    assert failure(teller, "--workers", "2").startswith("error: teller needs credentials")


@pytest.mark.parametrize("said", ["option", "variable"])
def test_production_from_the_command_line(teller: Path, said: str) -> None:
    arguments = ("--mode", "production") if said == "option" else ()
    variables = {"OPENENV_MODE": "production"} if said == "variable" else {}
    key = write(teller / "key", f"{SECRET}\n")
    with started(teller, *arguments, TELLER_KEY_FILE=str(key), **variables) as (_, told):
        assert httpx.post(f"{told['URL']}/reset").status_code == 404
        with Agent(told["URL"]) as agent:
            production = agent.tools()
            assert agent.call("tell") == f"1 [API_KEY] {len(SECRET)}"
    with started(teller, TELLER_KEY=SECRET) as (_, told), Agent(told["URL"]) as agent:
        simulation = agent.tools()
    assert {*simulation} - {*production} == {"cheat"}
    assert simulation["tell"] == production["tell"]


@pytest.mark.parametrize("workers", [1, 2])
def test_tokens_are_told_once_and_hold_in_every_process(teller: Path, workers: int) -> None:
    given = "given-to-the-grader"
    arguments = (teller, "--auth", "--workers", str(workers), "--max-sessions", "8")
    with started(*arguments, TELLER_KEY=SECRET, OPENENV_GRADER_TOKEN=given) as (process, told):
        assert told["grader"] == "the token of OPENENV_GRADER_TOKEN"
        assert re.fullmatch(r"oe-observer-[\w-]{40,}", told["observer"])
        assert "API pages" not in told
        trainer = {"Authorization": f"Bearer {told['orchestrator']}"}
        for _ in range(12):  # of which each worker gets some
            with httpx.Client(base_url=told["URL"], timeout=DEADLINE_S) as client:
                assert client.post("/sessions").status_code == 401
                opened = client.post("/sessions", headers=trainer)
                assert opened.status_code == 201
                client.cookies.clear()
                session = opened.json()["session_id"]
                shown = {"Authorization": f"Bearer {given}"}
                assert client.get(f"/sessions/{session}/outcome", headers=shown).json()["phase"] == "fresh"
                assert client.delete(f"/sessions/{session}", headers=trainer).status_code == 204
        commands = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True).stdout
        assert "openenv.app.child" in commands or workers == 1
        for secret in (told["orchestrator"], told["observer"], given, SECRET):
            assert secret not in commands
        process.terminate()
        out, err = process.communicate(timeout=DEADLINE_S)
        assert told["orchestrator"] not in out + err


@pytest.mark.parametrize("how", [(), ("--workers", "2"), ("--reload",)], ids=" ".join)
def test_agents_at_a_port_of_their_own(teller: Path, how: tuple[str, ...]) -> None:
    with started(teller, "--agent-port", "0", "--auth", *how, TELLER_KEY=SECRET) as (_, told):
        agents = told["agents"].removesuffix("/mcp")
        assert agents != told["URL"]
        with GenericEnvClient(told["URL"], token=told["orchestrator"]).sync() as env:
            env.reset()
            access = env.agent_access()
            assert access.mcp_url.startswith(agents)
            with Agent(agents, access.token) as agent:
                assert agent.call("tell").startswith("1 ")
            assert httpx.post(f"{agents}/reset").status_code == 404
            assert env.outcome().steps == 1


def test_the_port_of_the_agents_stays_when_the_server_is_started_anew(teller: Path) -> None:
    with started(teller, "--agent-port", "0", "--reload", TELLER_KEY=SECRET) as (process, told):
        write(next(teller.glob("*.py")), TELLER + "\n")
        while "agents" not in (line := line_of(process)):
            pass
        assert line.split()[-1] == told["agents"]
        assert httpx.get(told["agents"].replace("/mcp", "/health")).status_code == 200
        assert httpx.get(told["agents"].replace("/mcp", "/ready")).status_code == 404


@pytest.mark.parametrize("how", [(), ("--workers", "2"), ("--reload",)], ids=" ".join)
def test_a_port_of_the_agents_that_is_in_use_is_one_line(teller: Path, how: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = failure(teller, "--agent-port", port, *how, TELLER_KEY=SECRET)
    in_use = f"port {port} on 127.0.0.1 is in use; stop what listens there, or choose another with --agent-port"
    assert said == f"error: {in_use}\n"


def test_the_port_of_the_agents_is_not_that_of_the_server(teller: Path) -> None:
    said = failure(teller, "--port", "8765", "--agent-port", "8765", TELLER_KEY=SECRET)
    assert said == "error: agents cannot have port 8765 of their own, since it is that of the server\n"


def test_a_token_that_is_too_short_is_refused(teller: Path) -> None:
    said = failure(teller, "--auth", TELLER_KEY=SECRET, OPENENV_GRADER_TOKEN="short")
    assert "the token of the grader must have 16 characters" in said


def test_other_names_are_allowed_from_the_command_line(teller: Path) -> None:
    names = ("--allowed-host", "env.example.org", "--allowed-origin", "https://page.example.org")
    with started(teller, *names, TELLER_KEY=SECRET) as (_, told), httpx.Client(base_url=told["URL"]) as client:
        for headers, status in (
            ({"Host": "env.example.org"}, 200),
            ({"Host": "other.example.org"}, 403),
            ({"Origin": "https://page.example.org"}, 200),
            ({"Origin": "https://other.example.org"}, 403),
        ):
            assert client.get("/schema", headers=headers).status_code == status
