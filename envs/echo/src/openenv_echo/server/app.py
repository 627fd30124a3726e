"""The application that serves echo."""

from __future__ import annotations

from openenv import create_app
from openenv.app.serve import serve_named
from openenv_echo.models import EchoAction, EchoObservation
from openenv_echo.server.environment import EchoEnvironment

__all__ = ["app", "main"]

app = create_app(EchoEnvironment, EchoAction, EchoObservation, env_name="echo")


def main(host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until interrupted, and print where.

    Args:
        host: Address to listen on.
        port: TCP port, 0 to 65535; 0 lets the system choose one.
    """
    serve_named(app, "echo", host, port)
