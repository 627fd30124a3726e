"""The application that serves the terminal."""

from __future__ import annotations

from openenv import create_app
from openenv_terminal.models import TerminalAction, TerminalObservation
from openenv_terminal.server.environment import TerminalEnvironment

__all__ = ["app", "main"]

app = create_app(TerminalEnvironment, TerminalAction, TerminalObservation, env_name="terminal")


def main(host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until interrupted.

    Args:
        host: Address to listen on.
        port: TCP port, 0 to 65535; 0 lets the system choose one.
    """
    import uvicorn

    # no pong deadline: a client may think for minutes between two steps
    uvicorn.run(app, host=host, port=port, ws_ping_timeout=None)
