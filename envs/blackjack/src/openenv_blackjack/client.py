"""The typed client of blackjack."""

from __future__ import annotations

from openenv import EnvClient
from openenv_blackjack.models import BlackjackAction, BlackjackObservation, BlackjackState

__all__ = ["BlackjackClient"]


class BlackjackClient(EnvClient[BlackjackAction, BlackjackObservation, BlackjackState]):
    """Plays one session of a served blackjack environment with ``BlackjackAction`` and ``BlackjackObservation``.

    Arguments, methods and errors are those of ``openenv.EnvClient``; ``.sync()`` gives the synchronous one.
    """
