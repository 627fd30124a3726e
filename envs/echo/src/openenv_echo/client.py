"""The typed client of echo."""

from __future__ import annotations

from openenv import EnvClient
from openenv_echo.models import EchoAction, EchoObservation, EchoState

__all__ = ["EchoClient"]


class EchoClient(EnvClient[EchoAction, EchoObservation, EchoState]):
    """Plays one session of a served echo environment with ``EchoAction`` and ``EchoObservation``.

    Arguments, methods and errors are those of ``openenv.EnvClient``; ``.sync()`` gives the synchronous one.
    """
