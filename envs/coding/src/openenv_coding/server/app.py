"""The application that serves the coding environment."""

from __future__ import annotations

from openenv import create_app
from openenv_coding.models import CodingAction, CodingObservation
from openenv_coding.server.environment import CodingEnvironment

__all__ = ["app", "main"]

app = create_app(CodingEnvironment, CodingAction, CodingObservation, env_name="coding")


def main(host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until interrupted.

    Args:
        host: Address to listen on.
        port: TCP port, 0 to 65535; 0 lets the system choose one.
    """
    import uvicorn

    # no pong deadline: a client may think for minutes between two steps
    uvicorn.run(app, host=host, port=port, ws_ping_timeout=None)
