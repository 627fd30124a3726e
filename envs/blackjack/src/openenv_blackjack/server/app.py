"""The application that serves blackjack."""

from __future__ import annotations

from openenv import OpenEnvError, create_app
from openenv.app.serve import serve
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
    try:
        serve(
            app,
            host,
            port,
            on_ready=lambda listening: print(f"blackjack is served at {listening.url}", flush=True),
        )
    except OpenEnvError as error:  # such as a port in use: one line says how to mend it
        raise SystemExit(f"error: {error}") from None
