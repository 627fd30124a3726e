"""The application that serves reasoning_gym."""

from __future__ import annotations

from openenv import create_app
from openenv_reasoning_gym.models import ReasoningGymAction, ReasoningGymObservation
from openenv_reasoning_gym.server.environment import ReasoningGymEnvironment

__all__ = ["app", "main"]

app = create_app(ReasoningGymEnvironment, ReasoningGymAction, ReasoningGymObservation, env_name="reasoning_gym")


def main(host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until interrupted.

    Args:
        host: Address to listen on.
        port: TCP port, 0 to 65535; 0 lets the system choose one.
    """
    import uvicorn

    # no pong deadline: a client may think for minutes between two steps
    uvicorn.run(app, host=host, port=port, ws_ping_timeout=None)
