"""A guarded server of a tool environment, with everybody who might come to it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from tests.e2e.living import DEADLINE_S

from openenv.app import create_app
from openenv.app.serve import Listening, serve
from openenv.environment import ToolEnvironment
from openenv.server import AccessOptions, Role
from openenv.tools import tool
from openenv.types import Observation

REWARD = 86753.09375
"""Of each move: a number that is nowhere else."""

TOKENS = {
    Role.ORCHESTRATOR: "token-of-the-orchestrator",
    Role.GRADER: "token-of-the-grader",
    Role.OBSERVER: "token-of-the-observer",
}


MCP = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
_TLS = ssl.create_default_context()
"""Which no request here uses; made once, since each client would make its own, and that takes a while."""

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}


class Counting(ToolEnvironment):
    """Counts up to three."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed: int | None = None) -> Observation:
        self.count = 0
        return Observation(metadata={"hint": "h"})

    @tool
    def up(self, by: int = 1) -> int:
        """Count.

        Args:
            by: How far.
        """
        self.count += by
        self.award(REWARD)
        if self.count >= 3:
            self.end(REWARD)
        return self.count


@dataclass
class Guarded:
    """A server that runs.

    Attributes:
        url: Where it is.
        agent_url: Where agents are served, if that is elsewhere.
        app: What is served; ``None`` in other processes.
    """

    url: str
    agent_url: str | None
    app: Any

    def client(self, token: str | None = None, url: str | None = None, **headers: str) -> httpx.Client:
        own = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=url or self.url, headers={**own, **headers}, timeout=DEADLINE_S, verify=_TLS)


@contextmanager
def guarded(**options: Any) -> Iterator[Guarded]:
    """Serve it with tokens on a free port until the block ends; options of ``serve`` and ``create_app``."""
    of_app = ("auth", "mode", "journal")
    own = {"auth": AccessOptions(True, TOKENS), **{name: options.pop(name) for name in of_app if name in options}}
    app = create_app(Counting, env_name="counting", **own)
    heard: list[Listening] = []
    ready = threading.Event()

    def tell(listening: Listening) -> None:
        heard.append(listening)
        ready.set()

    told = {"on_ready": tell, "grace_s": 5, **options}
    thread = threading.Thread(target=serve, args=(app, "127.0.0.1", 0), kwargs=told)
    thread.start()
    assert ready.wait(DEADLINE_S)
    try:
        yield Guarded(heard[0].url, heard[0].agent_url, app)
    finally:
        heard[0].stop()
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), "the server did not stop"


def begun(trainer: httpx.Client, worker: str = "") -> dict[str, Any]:
    """A session in whose second episode an agent may act, and the token of one that might in the first."""
    opened = _opened(trainer, worker)
    named = {"X-OpenEnv-Session": opened["session_id"]}
    assert trainer.post("/reset", headers=named).status_code == 200
    assert trainer.post("/reset", headers=named).status_code == 200
    granted = trainer.post(f"/sessions/{opened['session_id']}/agent")
    assert granted.status_code == 201, granted.text
    return {**opened, "expired": opened["agent_token"], "agent_token": granted.json()["token"], "named": named}


def _opened(trainer: httpx.Client, worker: str) -> dict[str, Any]:
    """A new session, of that worker if one is named; the others fill up until it is its turn."""
    opened: list[dict[str, Any]] = []
    while not (opened and opened[-1]["session_id"].startswith(worker)):
        assert len(opened) < 32, f"all are at another worker: {opened}"
        opened.append(trainer.post("/sessions").json())
        trainer.cookies.clear()
    for one in opened[:-1]:
        trainer.delete(f"/sessions/{one['session_id']}")
    return opened[-1]


class Visit:
    """What is asked for one row, in a session of its own."""

    def __init__(self, server: Guarded, url: str, worker: str = "") -> None:
        self.server, self.url = server, url
        self.trainer = server.client(TOKENS[Role.ORCHESTRATOR])
        self.session, self.other = begun(self.trainer, worker), begun(self.trainer)
        self.mcp_id = self.connected()

    def connected(self) -> str:
        """The id of a new MCP session of the agent."""
        with self.server.client(self.session["agent_token"], self.server.agent_url or self.url, **MCP) as agent:
            return agent.post("/mcp", json=INITIALIZE).headers["mcp-session-id"]

    @property
    def tokens(self) -> dict[str, str | None]:
        """Who comes, with what; the orchestrator last, since what it does counts."""
        return {
            "none": None,
            "wrong": TOKENS[Role.ORCHESTRATOR][:-1],
            "expired": self.session["expired"],
            "foreign agent": self.other["agent_token"],
            "agent": self.session["agent_token"],
            "grader": TOKENS[Role.GRADER],
            "observer": TOKENS[Role.OBSERVER],
            "orchestrator": TOKENS[Role.ORCHESTRATOR],
        }

    def ask(self, method: str, path: str, token: str | None) -> tuple[int, httpx.Headers]:
        path = path.replace("{session_id}", self.session["session_id"])
        if method == "WS":
            return handshake(self.url, path, token)
        own = {} if token is None else {"Authorization": f"Bearer {token}"}
        more: dict[str, Any] = {}
        if path.endswith("/mcp"):
            if method == "DELETE":
                self.mcp_id = self.connected()
            own |= MCP if method == "POST" else {**MCP, "Mcp-Session-Id": self.mcp_id}
            more = {"json": INITIALIZE} if method == "POST" else {}
        elif path == "/step":
            own |= self.session["named"]
            more = {"json": {"action": {"type": "call_tool", "tool_name": "up"}}}
        with (
            httpx.Client(base_url=self.url, timeout=DEADLINE_S, verify=_TLS) as client,
            client.stream(method, path, headers=own, **more) as answer,
        ):
            return answer.status_code, answer.headers

    def close(self) -> None:
        for one in (self.session, self.other):
            self.trainer.delete(f"/sessions/{one['session_id']}")
        self.trainer.close()


def handshake(url: str, path: str, token: str | None, **headers: str) -> tuple[int, httpx.Headers]:
    """The status and headers of the answer to the handshake of a WebSocket."""
    host, _, port = url.removeprefix("http://").partition(":")
    lines = [
        f"GET {path} HTTP/1.1",
        *([] if "Host" in headers else [f"Host: {host}:{port}"]),
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *([] if token is None else [f"Authorization: Bearer {token}"]),
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    with socket.create_connection((host, int(port)), DEADLINE_S) as plain:
        plain.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        held = b""
        while b"\r\n\r\n" not in held:
            held += plain.recv(65536) or pytest.fail(f"the server closed the connection after {held!r}")
    first, *rest = held.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return int(first.split()[1]), httpx.Headers([line.split(": ", 1) for line in rest])
