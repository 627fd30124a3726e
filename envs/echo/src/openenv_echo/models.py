"""What is told to echo, what it answers, and what it counts."""

from __future__ import annotations

from pydantic import Field

from openenv import Action, Observation, State

__all__ = ["EchoAction", "EchoObservation", "EchoState"]


class EchoAction(Action):
    """Something to be repeated.

    Attributes:
        message: Any text, also none at all.
    """

    message: str = Field(description="Text to be repeated.")


class EchoObservation(Observation):
    """The text again.

    Attributes:
        message: The text of the action; empty after a reset.
        length: Its length in characters (Unicode code points), 0 or more.
    """

    message: str = Field(description="The text of the action; empty after a reset.")
    length: int = Field(ge=0, description="Length of the message in characters.")


class EchoState(State):
    """Where the episode stands.

    Attributes:
        characters: Characters repeated since the last reset, 0 or more.
    """

    characters: int = Field(default=0, ge=0, description="Characters repeated since the last reset.")
