"""The served tool: each side's own way to write it. The peer's way is a FastMCP server inside an environment."""

from __future__ import annotations

from typing import Any

from openenv.core.env_server.http_server import create_app

try:
    from openenv import CallToolAction, CallToolObservation, Observation, State, ToolEnvironment, tool

    class Adding(ToolEnvironment[State]):
        """Does next to nothing, so that what is measured is the server."""

        SUPPORTS_CONCURRENT_SESSIONS = True
        deterministic = True

        def reset(self, seed: int | None = None) -> Observation:
            """Begin."""
            return Observation()

        @tool
        def add(self, first: int, second: int) -> int:
            """Add two numbers."""
            return first + second

    app = create_app(Adding, CallToolAction, CallToolObservation, env_name="adding", max_concurrent_envs=400)

except ImportError:
    from fastmcp import FastMCP

    from openenv.core.env_server.mcp_environment import MCPEnvironment
    from openenv.core.env_server.mcp_types import CallToolAction as PeerAction
    from openenv.core.env_server.mcp_types import CallToolObservation as PeerObservation
    from openenv.core.env_server.types import Observation as PeerReset
    from openenv.core.env_server.types import State as PeerState

    class AddingServer(MCPEnvironment):
        """The same over there."""

        SUPPORTS_CONCURRENT_SESSIONS = True

        def __init__(self) -> None:
            server = FastMCP("adding")

            def add(first: int, second: int) -> int:
                """Add two numbers."""
                return first + second

            server.tool(add)
            super().__init__(server)
            self._state = PeerState(episode_id="", step_count=0)

        def reset(self, seed: int | None = None, episode_id: str | None = None, **options: Any) -> Any:
            """Begin."""
            return PeerReset(done=False, reward=None)

        def _step_impl(self, action: Any, timeout_s: float | None = None, **options: Any) -> Any:
            return PeerReset(done=False, reward=None)

        @property
        def state(self) -> Any:
            """The count."""
            return self._state

    app = create_app(AddingServer, PeerAction, PeerObservation, env_name="adding", max_concurrent_envs=400)
