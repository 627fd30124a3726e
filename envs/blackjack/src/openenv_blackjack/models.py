"""What a player does at the blackjack table, sees of it, and which rules hold there."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from openenv import Action, Observation, State

__all__ = ["BlackjackAction", "BlackjackObservation", "BlackjackState", "Move"]

Move = Literal["stick", "hit"]


class BlackjackAction(Action):
    """One decision of the player.

    Attributes:
        move: ``hit`` takes another card, ``stick`` ends the player's turn and with it the episode.
    """

    move: Move = Field(description="'hit' takes another card, 'stick' ends the player's turn.")


class BlackjackObservation(Observation):
    """What the player sees of the table.

    Attributes:
        player_sum: Sum of the player's cards, a usable ace counted as 11. 4 to 21 while the episode runs, 22 to 31
            when the player went bust.
        dealer_card: Value of the dealer's open card: 1 for an ace, 10 for ten and the pictures.
        usable_ace: Whether an ace of the player counts as 11 (without going over 21).
    """

    player_sum: int = Field(ge=4, le=31, description="Sum of the player's cards; over 21 is bust.")
    dealer_card: int = Field(ge=1, le=10, description="The dealer's open card; an ace is 1.")
    usable_ace: bool = Field(description="Whether an ace of the player counts as 11.")


class BlackjackState(State):
    """Where the episode stands, and the rules it is played by.

    Attributes:
        sab: Rules of Sutton and Barto: a natural wins against everything but a natural.
        natural: Pays 1.5 for a win with a natural. Without effect while ``sab`` holds.
    """

    sab: bool = Field(default=True, description="Whether the rules of Sutton and Barto hold.")
    natural: bool = Field(default=False, description="Whether a win with a natural pays 1.5; only without sab.")
