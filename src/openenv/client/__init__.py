"""Clients of a served environment, asynchronous and synchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openenv.client.async_client import EnvClient, GenericEnvClient
from openenv.client.options import Closable, Ending

if TYPE_CHECKING:
    from openenv.client.sync_client import SyncEnvClient

__all__ = ["Closable", "Ending", "EnvClient", "GenericEnvClient", "SyncEnvClient"]


def __getattr__(name: str) -> Any:  # either client loads without the other's half of websockets
    if name != "SyncEnvClient":
        raise AttributeError(f"module 'openenv.client' has no attribute {name!r}")
    from openenv.client.sync_client import SyncEnvClient

    return SyncEnvClient
