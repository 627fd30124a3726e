"""Clients of a served environment, asynchronous and synchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv.client.async_client import EnvClient, GenericEnvClient
from openenv.client.options import Closable, Ending
from openenv.lazy import on_first_use

if TYPE_CHECKING:
    from openenv.client.sync_client import SyncEnvClient

__all__ = ["Closable", "Ending", "EnvClient", "GenericEnvClient", "SyncEnvClient"]

# either client loads without the other's half of websockets
__getattr__ = on_first_use(__name__, {"SyncEnvClient": "sync_client"})
