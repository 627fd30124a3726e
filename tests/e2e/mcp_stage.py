"""A server of one tool environment in this process, a trainer that holds an episode, and raw agents that play it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.e2e.living import DEADLINE_S
from tests.e2e.mcp_fault_worlds import REWARD, Faults, Gate
from tests.e2e.mcp_raw import Client, Older, Stateless
from tests.unit.server.shells import served

from openenv import SyncEnvClient
from openenv.app import create_app
from openenv.environment import ToolEnvironment
from openenv.tools import CallToolAction, CallToolObservation

__all__ = ["Era", "Stage", "staged", "until"]

Era = type[Older] | type[Stateless]
Trainer = SyncEnvClient[Any, Any, Any]


class Stage:
    """The server, whose trainer has begun an episode.

    Attributes:
        url: Of the server.
        trainer: Holds the session.
        gate: Of tools that wait.
        agents: All that were made.
    """

    def __init__(self, url: str, ends: ExitStack, gate: Gate) -> None:
        self.url, self.gate = url, gate
        self.trainer: Trainer = ends.enter_context(SyncEnvClient(url))
        self.trainer.reset(seed=1)
        self.agents: list[Client] = []
        self.access = self.trainer.agent_access()
        self.session = self.access.mcp_url.split("/")[-2]

    def agent(self, era: Era, path: str = "/mcp", **more: Any) -> Any:
        """A client with the token of the running episode."""
        return self.joined(era(self.url, path, self.trainer.agent_access().token, **more))

    def joined(self, agent: Client) -> Any:
        """Have a look at what that client hears at the end."""
        self.agents.append(agent)
        return agent

    @property
    def steps(self) -> int:
        return self.trainer.outcome().steps

    def steps_become(self, steps: int) -> None:
        """Wait until so many steps are counted."""
        until(lambda: self.steps >= steps)
        assert self.steps == steps

    def active(self) -> int:
        """Sessions that have a place."""
        found: int = httpx.get(f"{self.url}/ready", timeout=DEADLINE_S, trust_env=False).json()["sessions"]["active"]
        return found


@contextmanager
def staged(world: type[ToolEnvironment[Any]] = Faults, journal: Path | None = None, **options: Any) -> Iterator[Stage]:
    """Serve a class of tool environments until the block ends; nothing that agents heard may tell of a reward."""
    gate = Gate()
    cls = type(world.__name__, (world,), {"gate": gate, "__doc__": world.__doc__})
    app = create_app(cls, CallToolAction, CallToolObservation, "faults", 16, journal=journal, **options)
    with served(app, "auto") as server, ExitStack() as ends:
        stage = Stage(server.url, ends, gate)
        ends.callback(gate.go.set)
        yield stage
    for agent in stage.agents:
        assert str(REWARD).encode() not in agent.heard
        assert b"reward" not in agent.heard


def until(true: Callable[[], bool]) -> None:
    """Ask until it is so; each question is a request of its own."""
    for _ in range(100_000):
        if true():
            return
    raise AssertionError("it does not come true")
