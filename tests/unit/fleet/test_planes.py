"""The port that a request came in by, where another worker serves it: over real Unix sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from openenv.errors import Forbidden, OpenEnvError
from openenv.fleet.door import Door
from openenv.fleet.forwarding import Forwarding
from openenv.fleet.switch import Neighbours
from openenv.server import Access, AccessOptions, AgentPort, Role

MAIN, AGENTS = 8000, 9000
TRAINER = "token-of-the-orchestrator"
SAYS_OTHERWISE = {
    "host": "127.0.0.1:{other}",
    "server": "127.0.0.1:{other}",
    "forwarded": "by=127.0.0.1:{other};host=127.0.0.1:{other}",
    "x-forwarded-host": "127.0.0.1:{other}",
    "x-forwarded-port": "{other}",
    "x-forwarded-server": "127.0.0.1:{other}",
}


class Worker:
    """Worker 1, which checks what it is brought and says at which port it came in."""

    def __init__(self) -> None:
        self.access = Access(AccessOptions(tokens={Role.ORCHESTRATOR: TRAINER}))
        self.access.agent_port = AGENTS
        self.planes: list[bool] = []
        self.refused: list[OpenEnvError] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        self.planes.append(self.access.is_agent_plane(scope))
        try:
            self.access.check(scope, "state")
        except OpenEnvError as error:
            self.refused.append(error)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    worker = Worker()
    door = Door(None, worker)  # type: ignore[arg-type]
    server = await asyncio.get_running_loop().create_unix_server(door, str(tmp_path / "1"))
    yield worker
    server.close()
    await door.aclose()


@pytest.fixture
def at_worker_0(tmp_path: Path) -> Any:
    """What serves a request that comes in at worker 0, which has the port of the agents too."""

    async def place(_: bytes) -> int:
        return 1

    async def never(*_: Any) -> None:
        raise AssertionError("it is to be forwarded")

    neighbours = Neighbours(0, [str(tmp_path / "0"), str(tmp_path / "1")], place)
    return AgentPort(Forwarding(never, neighbours, 1000), Access(), AGENTS)


async def asked(app: Any, method: str, path: str, port: int) -> int:
    """The status of the answer to a request that came in at a port, and says it was another."""
    other = AGENTS if port == MAIN else MAIN
    said = {name: value.format(other=other) for name, value in SAYS_OTHERWISE.items()}
    said |= {"authorization": f"Bearer {TRAINER}"}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": f"server=127.0.0.1:{other}".encode(),
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", port),
        "headers": [(name.encode(), value.encode()) for name, value in said.items()],
    }
    parts = [{"type": "http.request", "body": b"", "more_body": False}]
    answers: list[Any] = []

    async def receive() -> Any:
        if parts:
            return parts.pop()
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        answers.append(message)

    async with asyncio.timeout(10):
        await app(scope, receive, send)
    status: int = answers[0]["status"]
    return status


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/sessions/1-ab/mcp"), ("POST", "/sessions/1-ab/mcp"), ("DELETE", "/sessions/1-ab/mcp")],
)
async def test_a_forwarded_request_keeps_the_port_that_it_came_in_by(
    worker: Worker, at_worker_0: Any, method: str, path: str
) -> None:
    for port in (MAIN, AGENTS, MAIN, AGENTS):
        assert await asked(at_worker_0, method, path, port) == 200
    assert worker.planes == [False, True, False, True]
    assert [type(error) for error in worker.refused] == [Forbidden, Forbidden], "nothing but MCP, here as there"


async def test_a_request_that_its_body_places_keeps_it_too(worker: Worker, at_worker_0: Any) -> None:
    assert await asked(at_worker_0, "POST", "/sessions", MAIN) == 200
    assert worker.planes == [False]
    assert not worker.refused


@pytest.mark.parametrize("path", ["/sessions/1-ab/state", "/sessions/1-ab", "/sessions/1-ab/agent", "/sessions", "/ws"])
async def test_what_is_not_at_the_port_of_the_agents_is_not_forwarded(
    worker: Worker, at_worker_0: Any, path: str
) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert await asked(at_worker_0, method, path, AGENTS) == 404
    assert not worker.planes
