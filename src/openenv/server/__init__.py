"""The ways into a session: HTTP and WebSocket."""

from openenv.server.access import Access, AccessOptions, Role, drawn_tokens
from openenv.server.agent_port import AgentPort
from openenv.server.app import build_app
from openenv.server.exposure import Exposure, warn_if_exposed
from openenv.server.limits import MAX_MESSAGE_BYTES, SHUTDOWN_GRACE_S
from openenv.server.listener import listener_for
from openenv.server.surface import Surface

__all__ = [
    "MAX_MESSAGE_BYTES",
    "SHUTDOWN_GRACE_S",
    "Access",
    "AccessOptions",
    "AgentPort",
    "Exposure",
    "Role",
    "Surface",
    "build_app",
    "drawn_tokens",
    "listener_for",
    "warn_if_exposed",
]
