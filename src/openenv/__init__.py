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
    from openenv.client import EnvClient, GenericEnvClient, SyncEnvClient
    from openenv.environment import Environment, Transform
    from openenv.pool import EnvPool, SyncEnvPool
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
    "Content": "openenv.types",
    "EnvClient": "openenv.client",
    "EnvPool": "openenv.pool",
    "Environment": "openenv.environment",
    "EnvironmentMetadata": "openenv.types",
    "FileContent": "openenv.types",
    "GenericEnvClient": "openenv.client",
    "ImageContent": "openenv.types",
    "Observation": "openenv.types",
    "State": "openenv.types",
    "StepResult": "openenv.types",
    "SyncEnvClient": "openenv.client",
    "SyncEnvPool": "openenv.pool",
    "TextContent": "openenv.types",
    "Transform": "openenv.environment",
    "as_content": "openenv.types",
    "content_to_anthropic": "openenv.types",
    "content_to_openai": "openenv.types",
    "create_app": "openenv.app",
    "make": "openenv.app",
}

__all__ = [  # noqa: PLE0604 - the error names are strings too
    "Action",
    "AudioContent",
    "Content",
    "EnvClient",
    "EnvPool",
    "Environment",
    "EnvironmentMetadata",
    "FileContent",
    "GenericEnvClient",
    "ImageContent",
    "Observation",
    "State",
    "StepResult",
    "SyncEnvClient",
    "SyncEnvPool",
    "TextContent",
    "Transform",
    "as_content",
    "content_to_anthropic",
    "content_to_openai",
    "create_app",
    "make",
    *_errors.__all__,
]

__getattr__ = on_first_use(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
