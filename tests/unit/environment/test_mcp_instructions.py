"""What agents are told when they connect to an environment around an MCP server object."""

from __future__ import annotations

import asyncio

from tests.unit.environment.test_mcp_environment import Server

from openenv import MCPEnvironment, Observation


def test_a_task_does_not_push_out_what_the_server_says() -> None:
    class Told(MCPEnvironment):
        def reset(self) -> Observation:
            return self.begin_with("Count to ten.")

    environment = Told(Server())
    environment.reset()
    about = asyncio.run(environment.offer("about", {}))
    assert about["instructions"] == "Try.\n\nCount to ten."
