"""The application that serves the coding environment."""

from __future__ import annotations

from openenv import create_app
from openenv.app.serve import serve_named
from openenv_coding.models import CodingAction, CodingObservation
from openenv_coding.server.environment import CodingEnvironment

__all__ = ["app", "main"]

app = create_app(CodingEnvironment, CodingAction, CodingObservation, env_name="coding")


def main(host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until interrupted, and print where.

    Args:
        host: Address to listen on.
        port: TCP port, 0 to 65535; 0 lets the system choose one.
    """
    serve_named(app, "coding", host, port)
