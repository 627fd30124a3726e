"""How much a server takes from one client."""

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Largest message, HTTP body or WebSocket frame, unless told otherwise."""

SHUTDOWN_GRACE_S = 10
"""Seconds that running requests are given when the server is asked to stop."""
