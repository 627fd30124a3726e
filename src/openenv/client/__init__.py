"""Clients of a served environment, asynchronous and synchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv.client.async_client import EnvClient, GenericEnvClient
from openenv.client.options import Closable, Ending
from openenv.lazy import on_first_use

if TYPE_CHECKING:
    from openenv.client.agent_access import AgentAccess
    from openenv.client.outcome import EpisodeOutcome
    from openenv.client.sync_client import SyncEnvClient
    from openenv.client.tool_client import MCPToolClient, SyncMCPToolClient

__all__ = [
    "AgentAccess",
    "Closable",
    "Ending",
    "EnvClient",
    "EpisodeOutcome",
    "GenericEnvClient",
    "MCPToolClient",
    "SyncEnvClient",
    "SyncMCPToolClient",
]

_HOME = {
    "AgentAccess": "agent_access",
    "EpisodeOutcome": "outcome",
    "MCPToolClient": "tool_client",
    "SyncEnvClient": "sync_client",
    "SyncMCPToolClient": "tool_client",
}

# either client loads without the other's half of websockets
__getattr__ = on_first_use(__name__, _HOME)
