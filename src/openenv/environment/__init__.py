"""What an author subclasses, and what its class tells about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv.environment.base import Environment, Isolation, Lifecycle
from openenv.environment.credentials import Credentials, CredentialSource, read_credentials
from openenv.environment.manifest import Manifest, find_manifest, read_manifest
from openenv.environment.plan import EnvironmentPlan, KeywordFilter
from openenv.environment.transform import ComposedTransform, Transform
from openenv.lazy import on_first_use

if TYPE_CHECKING:
    from openenv.environment.mcp_environment import MCPEnvironment
    from openenv.environment.tool_environment import ToolEnvironment, with_toolsets

# an environment without tools is served without what tools need
_HOME = {
    "MCPEnvironment": "openenv.environment.mcp_environment",
    "ToolEnvironment": "openenv.environment.tool_environment",
    "with_toolsets": "openenv.environment.tool_environment",
}

__all__ = [
    "ComposedTransform",
    "CredentialSource",
    "Credentials",
    "Environment",
    "EnvironmentPlan",
    "Isolation",
    "KeywordFilter",
    "Lifecycle",
    "MCPEnvironment",
    "Manifest",
    "ToolEnvironment",
    "Transform",
    "find_manifest",
    "read_credentials",
    "read_manifest",
    "with_toolsets",
]

__getattr__ = on_first_use(__name__, _HOME)
