"""OpenEnv: the socket between agents, environments and trainers.

Everything here is loaded on first use: importing a client loads neither a web framework nor an environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv import errors as _errors
from openenv.errors import *  # noqa: F403 - the whole error tree is public here
from openenv.lazy import on_first_use
from openenv.version import __version__ as __version__

if TYPE_CHECKING:
    from openenv.app import create_app, make
    from openenv.client import EnvClient, GenericEnvClient, MCPToolClient, SyncEnvClient, SyncMCPToolClient
    from openenv.environment import Environment, MCPEnvironment, ToolEnvironment, Transform
    from openenv.pool import EnvPool, SyncEnvPool
    from openenv.tools import (
        CallToolAction,
        CallToolObservation,
        Elicit,
        ListRoots,
        ListToolsAction,
        ListToolsObservation,
        Sample,
        ToolContext,
        ToolResult,
        as_anthropic_tools,
        as_openai_tools,
        completion,
        prompt,
        resource,
        resource_template,
        tool,
    )
    from openenv.types import (
        Action,
        AudioContent,
        Content,
        EnvironmentMetadata,
        FileContent,
        ImageContent,
        Observation,
        State,
        StepResult,
        TextContent,
        as_content,
        content_to_anthropic,
        content_to_openai,
    )

_HOME = {
    "Action": "openenv.types",
    "AudioContent": "openenv.types",
    "CallToolAction": "openenv.tools",
    "CallToolObservation": "openenv.tools",
    "Content": "openenv.types",
    "Elicit": "openenv.tools",
    "EnvClient": "openenv.client",
    "EnvPool": "openenv.pool",
    "Environment": "openenv.environment",
    "EnvironmentMetadata": "openenv.types",
    "FileContent": "openenv.types",
    "GenericEnvClient": "openenv.client",
    "ImageContent": "openenv.types",
    "ListRoots": "openenv.tools",
    "ListToolsAction": "openenv.tools",
    "ListToolsObservation": "openenv.tools",
    "MCPEnvironment": "openenv.environment",
    "MCPToolClient": "openenv.client",
    "Observation": "openenv.types",
    "Sample": "openenv.tools",
    "State": "openenv.types",
    "StepResult": "openenv.types",
    "SyncEnvClient": "openenv.client",
    "SyncEnvPool": "openenv.pool",
    "SyncMCPToolClient": "openenv.client",
    "TextContent": "openenv.types",
    "ToolContext": "openenv.tools",
    "ToolEnvironment": "openenv.environment",
    "ToolResult": "openenv.tools",
    "Transform": "openenv.environment",
    "as_anthropic_tools": "openenv.tools",
    "as_content": "openenv.types",
    "as_openai_tools": "openenv.tools",
    "completion": "openenv.tools",
    "content_to_anthropic": "openenv.types",
    "content_to_openai": "openenv.types",
    "create_app": "openenv.app",
    "make": "openenv.app",
    "prompt": "openenv.tools",
    "resource": "openenv.tools",
    "resource_template": "openenv.tools",
    "tool": "openenv.tools",
}

__all__ = [  # noqa: PLE0604 - the error names are strings too
    "Action",
    "AudioContent",
    "CallToolAction",
    "CallToolObservation",
    "Content",
    "Elicit",
    "EnvClient",
    "EnvPool",
    "Environment",
    "EnvironmentMetadata",
    "FileContent",
    "GenericEnvClient",
    "ImageContent",
    "ListRoots",
    "ListToolsAction",
    "ListToolsObservation",
    "MCPEnvironment",
    "MCPToolClient",
    "Observation",
    "Sample",
    "State",
    "StepResult",
    "SyncEnvClient",
    "SyncEnvPool",
    "SyncMCPToolClient",
    "TextContent",
    "ToolContext",
    "ToolEnvironment",
    "ToolResult",
    "Transform",
    "as_anthropic_tools",
    "as_content",
    "as_openai_tools",
    "completion",
    "content_to_anthropic",
    "content_to_openai",
    "create_app",
    "make",
    "prompt",
    "resource",
    "resource_template",
    "tool",
    *_errors.__all__,
]

__getattr__ = on_first_use(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
