"""What an author of an existing environment imports: the class, its types, and the application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv.lazy import on_first_use

if TYPE_CHECKING:
    from openenv.core.env_server.http_server import create_app, create_fastapi_app
    from openenv.core.env_server.interfaces import Environment, Transform
    from openenv.core.env_server.mcp_environment import MCPEnvironment
    from openenv.core.env_server.mcp_types import (
        CallToolAction,
        CallToolObservation,
        ListToolsAction,
        ListToolsObservation,
        Tool,
        ToolError,
        ToolErrorType,
    )
    from openenv.core.env_server.types import Action, EnvironmentMetadata, Observation, State

_HOME = {
    "Action": "openenv.core.env_server.types",
    "CallToolAction": "openenv.core.env_server.mcp_types",
    "CallToolObservation": "openenv.core.env_server.mcp_types",
    "Environment": "openenv.core.env_server.interfaces",
    "EnvironmentMetadata": "openenv.core.env_server.types",
    "ListToolsAction": "openenv.core.env_server.mcp_types",
    "ListToolsObservation": "openenv.core.env_server.mcp_types",
    "MCPEnvironment": "openenv.core.env_server.mcp_environment",
    "Observation": "openenv.core.env_server.types",
    "State": "openenv.core.env_server.types",
    "Tool": "openenv.core.env_server.mcp_types",
    "ToolError": "openenv.core.env_server.mcp_types",
    "ToolErrorType": "openenv.core.env_server.mcp_types",
    "Transform": "openenv.core.env_server.interfaces",
    "create_app": "openenv.core.env_server.http_server",
    "create_fastapi_app": "openenv.core.env_server.http_server",
}

__all__ = [
    "Action",
    "CallToolAction",
    "CallToolObservation",
    "Environment",
    "EnvironmentMetadata",
    "ListToolsAction",
    "ListToolsObservation",
    "MCPEnvironment",
    "Observation",
    "State",
    "Tool",
    "ToolError",
    "ToolErrorType",
    "Transform",
    "create_app",
    "create_fastapi_app",
]

# clients import the types from here and must not load a web framework
__getattr__ = on_first_use(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
