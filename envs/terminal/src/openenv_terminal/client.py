"""The typed client of the terminal."""

from __future__ import annotations

from openenv import EnvClient
from openenv_terminal.models import TerminalAction, TerminalObservation, TerminalState

__all__ = ["TerminalClient"]


class TerminalClient(EnvClient[TerminalAction, TerminalObservation, TerminalState]):
    """Plays one session of a served terminal environment with ``TerminalAction`` and ``TerminalObservation``.

    Arguments, methods and errors are those of ``openenv.EnvClient``; ``.sync()`` gives the synchronous one.
    """
