"""What an author of an existing environment imports: the class, its types, and the application."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openenv.core.env_server.http_server import create_app, create_fastapi_app
    from openenv.core.env_server.interfaces import Environment, Transform
    from openenv.core.env_server.types import Action, EnvironmentMetadata, Observation, State

_HOME = {
    "Action": "openenv.core.env_server.types",
    "Environment": "openenv.core.env_server.interfaces",
    "EnvironmentMetadata": "openenv.core.env_server.types",
    "Observation": "openenv.core.env_server.types",
    "State": "openenv.core.env_server.types",
    "Transform": "openenv.core.env_server.interfaces",
    "create_app": "openenv.core.env_server.http_server",
    "create_fastapi_app": "openenv.core.env_server.http_server",
}

__all__ = [
    "Action",
    "Environment",
    "EnvironmentMetadata",
    "Observation",
    "State",
    "Transform",
    "create_app",
    "create_fastapi_app",
]


def __getattr__(name: str) -> Any:  # clients import the types from here and must not load a web framework
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'openenv.core.env_server' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
