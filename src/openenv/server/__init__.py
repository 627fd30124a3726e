"""The ways into a session: HTTP and WebSocket."""

from openenv.server.app import build_app
from openenv.server.exposure import Exposure, warn_if_exposed
from openenv.server.limits import MAX_MESSAGE_BYTES, SHUTDOWN_GRACE_S
from openenv.server.listener import listener_for

__all__ = ["MAX_MESSAGE_BYTES", "SHUTDOWN_GRACE_S", "Exposure", "build_app", "listener_for", "warn_if_exposed"]
