"""The import paths that existing environments use, over the packages of today. Loaded on first use.

New code imports from ``openenv``. What stands here has the names, signatures and habits of OpenEnv up to 0.10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv.lazy import on_first_use

if TYPE_CHECKING:
    from openenv.core.client_types import StepResult
    from openenv.core.env_client import EnvClient
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
    from openenv.core.generic_client import GenericAction, GenericEnvClient
    from openenv.core.mcp_client import MCPClientBase, MCPToolClient
    from openenv.core.sync_client import SyncEnvClient
    from openenv.errors import OpenEnvError

_HOME = {
    "Action": "openenv.core.env_server.types",
    "CallToolAction": "openenv.core.env_server.mcp_types",
    "CallToolObservation": "openenv.core.env_server.mcp_types",
    "EnvClient": "openenv.core.env_client",
    "Environment": "openenv.core.env_server.interfaces",
    "EnvironmentMetadata": "openenv.core.env_server.types",
    "GenericAction": "openenv.core.generic_client",
    "GenericEnvClient": "openenv.core.generic_client",
    "ListToolsAction": "openenv.core.env_server.mcp_types",
    "ListToolsObservation": "openenv.core.env_server.mcp_types",
    "MCPClientBase": "openenv.core.mcp_client",
    "MCPEnvironment": "openenv.core.env_server.mcp_environment",
    "MCPToolClient": "openenv.core.mcp_client",
    "Observation": "openenv.core.env_server.types",
    "OpenEnvError": "openenv.errors",
    "State": "openenv.core.env_server.types",
    "StepResult": "openenv.core.client_types",
    "SyncEnvClient": "openenv.core.sync_client",
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
    "EnvClient",
    "Environment",
    "EnvironmentMetadata",
    "GenericAction",
    "GenericEnvClient",
    "ListToolsAction",
    "ListToolsObservation",
    "MCPClientBase",
    "MCPEnvironment",
    "MCPToolClient",
    "Observation",
    "OpenEnvError",
    "State",
    "StepResult",
    "SyncEnvClient",
    "Tool",
    "ToolError",
    "ToolErrorType",
    "Transform",
    "create_app",
    "create_fastapi_app",
]

__getattr__ = on_first_use(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
