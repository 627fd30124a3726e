"""The typed client of the coding environment."""

from __future__ import annotations

from openenv import EnvClient
from openenv_coding.models import CodingAction, CodingObservation, CodingState

__all__ = ["CodingClient"]


class CodingClient(EnvClient[CodingAction, CodingObservation, CodingState]):
    """Runs code in one session of a served coding environment with ``CodingAction`` and ``CodingObservation``.

    Arguments, methods and errors are those of ``openenv.EnvClient``; ``.sync()`` gives the synchronous one.
    """
