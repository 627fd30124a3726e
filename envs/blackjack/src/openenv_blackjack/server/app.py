"""The application that serves blackjack."""

from __future__ import annotations

from openenv import create_app
from openenv_blackjack.models import BlackjackAction, BlackjackObservation
from openenv_blackjack.server.environment import BlackjackEnvironment

__all__ = ["app", "main"]

app = create_app(BlackjackEnvironment, BlackjackAction, BlackjackObservation, env_name="blackjack")


def main(host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until interrupted.

    Args:
        host: Address to listen on.
        port: TCP port, 0 to 65535; 0 lets the system choose one.
    """
    import uvicorn

    # no pong deadline: a client may think for minutes between two steps
    uvicorn.run(app, host=host, port=port, ws_ping_timeout=None)
