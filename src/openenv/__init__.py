"""OpenEnv: the socket between agents, environments and trainers.

Everything here is loaded on first use: importing a client loads neither a web framework nor an environment.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from openenv import errors as _errors
from openenv.errors import *  # noqa: F403 - the whole error tree is public here
from openenv.version import __version__ as __version__

if TYPE_CHECKING:
    from openenv.app import create_app, make
    from openenv.client import EnvClient, GenericEnvClient, SyncEnvClient
    from openenv.environment import Environment, Transform
    from openenv.types import Action, EnvironmentMetadata, Observation, State, StepResult

_HOME = {
    "Action": "openenv.types",
    "EnvClient": "openenv.client",
    "Environment": "openenv.environment",
    "EnvironmentMetadata": "openenv.types",
    "GenericEnvClient": "openenv.client",
    "Observation": "openenv.types",
    "State": "openenv.types",
    "StepResult": "openenv.types",
    "SyncEnvClient": "openenv.client",
    "Transform": "openenv.environment",
    "create_app": "openenv.app",
    "make": "openenv.app",
}

__all__ = [  # noqa: PLE0604 - the error names are strings too
    "Action",
    "EnvClient",
    "Environment",
    "EnvironmentMetadata",
    "GenericEnvClient",
    "Observation",
    "State",
    "StepResult",
    "SyncEnvClient",
    "Transform",
    "create_app",
    "make",
    *_errors.__all__,
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'openenv' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
