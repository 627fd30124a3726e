"""Agents that play blackjack, as functions for the rollout runner."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from openenv_blackjack.exact import Move, best_strategy

__all__ = ["best", "random_move"]

_MOVES: tuple[Move, Move] = ("stick", "hit")


def best(observation: Mapping[str, Any]) -> dict[str, Any]:
    """The action of greatest expected return; see ``openenv_blackjack.exact.best_strategy``.

    Args:
        observation: Fields of a ``BlackjackObservation`` of an episode that is not over.
    """
    seen = observation["player_sum"], observation["dealer_card"], observation["usable_ace"]
    return {"move": best_strategy()[seen]}


def random_move(observation: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    """``stick`` or ``hit`` with probability 1/2 each, whatever is seen.

    Args:
        observation: Not looked at.
        rng: Where the choice comes from.
    """
    return {"move": rng.choice(_MOVES)}
