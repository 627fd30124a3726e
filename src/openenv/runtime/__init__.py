"""Where a server runs: it is started there, says its URL, and is ended whatever happens."""

from __future__ import annotations

from typing import Protocol

from openenv.runtime.embedded import EmbeddedRuntime, EmbeddedServer
from openenv.runtime.lifeline import Lifeline

__all__ = ["EmbeddedRuntime", "EmbeddedServer", "Endpoint", "Lifeline", "Runtime"]


class Endpoint(Protocol):
    """A running server, until it is closed."""

    @property
    def url(self) -> str:
        """Address of the server, such as ``http://127.0.0.1:43210``."""

    def close(self) -> None:
        """Stop the server and wait for its end; safe to call twice."""


class Runtime(Protocol):
    """Somewhere to run a server: a child process, a container, another machine."""

    def start(self) -> Endpoint:
        """Start one server and return once it takes connections.

        Raises:
            RuntimeFailure: It ended or stayed silent instead. Nothing is left running.
        """
