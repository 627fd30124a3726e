"""The application that serves reasoning_gym."""

from __future__ import annotations

from openenv import create_app
from openenv.app.serve import serve_named
from openenv_reasoning_gym.models import ReasoningGymAction, ReasoningGymObservation
from openenv_reasoning_gym.server.environment import ReasoningGymEnvironment

__all__ = ["app", "main"]

app = create_app(ReasoningGymEnvironment, ReasoningGymAction, ReasoningGymObservation, env_name="reasoning_gym")


def main(host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until interrupted, and print where.

    Args:
        host: Address to listen on.
        port: TCP port, 0 to 65535; 0 lets the system choose one.
    """
    serve_named(app, "reasoning_gym", host, port)
