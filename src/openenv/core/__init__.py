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
    from openenv.core.env_server.types import Action, EnvironmentMetadata, Observation, State
    from openenv.core.generic_client import GenericAction, GenericEnvClient
    from openenv.core.sync_client import SyncEnvClient
    from openenv.errors import OpenEnvError

_HOME = {
    "Action": "openenv.core.env_server.types",
    "EnvClient": "openenv.core.env_client",
    "Environment": "openenv.core.env_server.interfaces",
    "EnvironmentMetadata": "openenv.core.env_server.types",
    "GenericAction": "openenv.core.generic_client",
    "GenericEnvClient": "openenv.core.generic_client",
    "Observation": "openenv.core.env_server.types",
    "OpenEnvError": "openenv.errors",
    "State": "openenv.core.env_server.types",
    "StepResult": "openenv.core.client_types",
    "SyncEnvClient": "openenv.core.sync_client",
    "Transform": "openenv.core.env_server.interfaces",
    "create_app": "openenv.core.env_server.http_server",
    "create_fastapi_app": "openenv.core.env_server.http_server",
}

__all__ = [
    "Action",
    "EnvClient",
    "Environment",
    "EnvironmentMetadata",
    "GenericAction",
    "GenericEnvClient",
    "Observation",
    "OpenEnvError",
    "State",
    "StepResult",
    "SyncEnvClient",
    "Transform",
    "create_app",
    "create_fastapi_app",
]

__getattr__ = on_first_use(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
