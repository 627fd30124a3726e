"""How much a server takes from one client."""

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
"""Largest message, HTTP body or WebSocket frame, unless told otherwise.

Half of what uvicorn takes by default: above its own limit uvicorn cuts the connection before anybody here can answer
with an error, and the episode is lost.
"""

SHUTDOWN_GRACE_S = 10
"""Seconds that running requests are given when the server is asked to stop."""
