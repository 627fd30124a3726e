"""The application that serves blackjack."""

from __future__ import annotations

from openenv import create_app
from openenv.app.serve import serve_named
from openenv_blackjack.models import BlackjackAction, BlackjackObservation
from openenv_blackjack.server.environment import BlackjackEnvironment

__all__ = ["app", "main"]

app = create_app(BlackjackEnvironment, BlackjackAction, BlackjackObservation, env_name="blackjack")


def main(host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until interrupted, and print where.

    Args:
        host: Address to listen on.
        port: TCP port, 0 to 65535; 0 lets the system choose one.
    """
    serve_named(app, "blackjack", host, port)
