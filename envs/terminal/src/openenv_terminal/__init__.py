"""A shell in a sandboxed terminal, served; the environment is in ``openenv_terminal.server``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openenv_terminal.models import TerminalAction, TerminalObservation, TerminalState

if TYPE_CHECKING:
    from openenv_terminal.client import TerminalClient

__all__ = ["TerminalAction", "TerminalClient", "TerminalObservation", "TerminalState"]


def __getattr__(name: str) -> Any:  # a server of this environment has no use for the client
    if name != "TerminalClient":
        raise AttributeError(f"module 'openenv_terminal' has no attribute {name!r}")
    from openenv_terminal.client import TerminalClient

    return TerminalClient
