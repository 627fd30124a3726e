"""Blackjack, Gymnasium's own, served: models and client; the environment is in ``openenv_blackjack.server``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openenv_blackjack.models import BlackjackAction, BlackjackObservation, BlackjackState

if TYPE_CHECKING:
    from openenv_blackjack.client import BlackjackClient

__all__ = ["BlackjackAction", "BlackjackClient", "BlackjackObservation", "BlackjackState"]


def __getattr__(name: str) -> Any:  # a server of this environment has no use for the client
    if name != "BlackjackClient":
        raise AttributeError(f"module 'openenv_blackjack' has no attribute {name!r}")
    from openenv_blackjack.client import BlackjackClient

    return BlackjackClient
