"""The environment around an MCP server object, as existing environments know it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openenv import environment
from openenv.core.env_server.interfaces import Environment
from openenv.environment.mcp_objects import listed_now
from openenv.tools import CallToolAction, CallToolObservation
from openenv.types import StateT

__all__ = ["MCPEnvironment", "get_server_tools"]


class MCPEnvironment(environment.MCPEnvironment[StateT], Environment[CallToolAction, CallToolObservation, StateT]):
    """``openenv.MCPEnvironment`` with the liberties that existing environments take."""


def get_server_tools(mcp_server: Any) -> Mapping[str, Any]:
    """The tools of an MCP server object by name, as its library has them."""
    return listed_now(mcp_server)
