"""How much is loaded to begin: nothing of a server for a client, and little more than Python for the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

HEAVY = {
    "click", "docker", "fastapi", "gymnasium", "httptools", "httpx", "mcp", "numpy", "opentelemetry", "rich",
    "sqlite3", "starlette", "torch", "typer", "uvicorn", "uvloop", "yaml",
}  # fmt: skip
NETWORK = {"websockets"}  # until a client connects

PROBE = """
import sys
before = set(sys.modules)
{code}
print("\\n" + " ".join(sorted(set(sys.modules) - before)))
"""

HELP = """
from openenv.cli import main
sys.argv = ["openenv", "--help"]
try:
    main()
except SystemExit:
    pass
"""


SERVE = "import openenv.cli, openenv.cli.serve, openenv.app.load, openenv.app.serve"


@dataclass(frozen=True)
class Start:
    """One way to begin.

    Attributes:
        code: What is run.
        most: Modules it may load: what it loads with pydantic 2.14 and Python 3.11, and a tenth more.
        unwanted: Packages it must not load.
    """

    code: str
    most: int
    unwanted: set[str]


STARTS = {
    "client": Start("from openenv import EnvClient", 286, HEAVY | NETWORK),
    "client package": Start("import openenv.client", 286, HEAVY | NETWORK),
    "synchronous client": Start("from openenv import SyncEnvClient", 287, HEAVY | NETWORK),
    "errors": Start("import openenv.errors", 34, HEAVY | NETWORK | {"pydantic", "msgspec", "asyncio"}),
    # yaml: make() reads the manifests of paths, too
    "make of a URL": Start("import openenv; openenv.make('http://127.0.0.1:1')", 328, (HEAVY | NETWORK) - {"yaml"}),
    "server": Start("from openenv import create_app", 368, HEAVY | NETWORK),
    "serve": Start(SERVE, 470, (HEAVY | NETWORK) - {"click", "typer", "uvicorn"}),
    "help": Start(HELP, 310, (HEAVY | NETWORK | {"pydantic", "msgspec", "asyncio"}) - {"click", "rich", "typer"}),
}


def loaded(code: str) -> set[str]:
    """Names of the modules that a fresh Python loads for this code."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(code=code)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", STARTS)
def test_beginning_is_light(name: str) -> None:
    start = STARTS[name]
    modules = loaded(start.code)
    assert "openenv" in modules
    unwanted = {module.split(".")[0] for module in modules} & start.unwanted
    assert not unwanted, f"{name} loads {', '.join(sorted(unwanted))}; import it where it is used"
    assert len(modules) <= start.most, f"{name} loads {len(modules)} modules, {start.most} are allowed"


def test_the_probe_sees_what_is_loaded() -> None:
    assert {"sqlite3", "yaml"} <= loaded("import sqlite3, yaml")
    assert len(loaded("from openenv import create_app")) > STARTS["client"].most


PLAYED = """
import asyncio, json
from openenv import Action, Environment, Observation, State, create_app

class Plain(Environment[Action, Observation, State]):
    def reset(self): return Observation()
    def step(self, action): return Observation(reward=1.0)
    state = property(lambda self: State())

async def main():
    app, life, up = create_app(Plain), asyncio.Queue(), asyncio.Event()
    async def note(message): up.set()
    await life.put({"type": "lifespan.startup"})
    living = asyncio.create_task(app({"type": "lifespan"}, life.get, note))
    await up.wait()
    up.clear()
    for method, path, body in REQUESTS:
        answer = []
        async def receive(): return {"type": "http.request", "body": json.dumps(body).encode()}
        async def send(message): answer.append(message)
        kind = [(b"content-type", b"application/json"), (b"accept", b"application/json, text/event-stream")]
        await app({"type": "http", "method": method, "path": path, "headers": kind}, receive, send)
        assert answer[0]["status"] == 200, answer
    await life.put({"type": "lifespan.shutdown"})
    await living
"""
PLAYS = [("POST", "/reset", {}), ("POST", "/step", {"action": {}}), ("GET", "/state", {}), ("GET", "/ready", {})]
GREETS = (
    "POST",
    "/mcp",
    {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}},
)
OF_MCP = ("openenv.mcp", "openenv.mounts", "openenv.server.mcp.", "openenv.tools.", "openenv.environment.tool_")


@pytest.mark.parametrize("is_asked", [False, True])
def test_mcp_costs_nothing_to_a_server_that_is_not_asked_for_it(is_asked: bool) -> None:
    requests = [*PLAYS, GREETS] if is_asked else PLAYS
    code = PLAYED.replace("REQUESTS", repr(requests))
    found = {name for name in loaded(f"{code}\nasyncio.run(main())") if name.startswith(OF_MCP)}
    found -= {"openenv.tools.marking", "openenv.tools.modes"}  # a few names and no more
    assert bool(found) == is_asked, sorted(found)
