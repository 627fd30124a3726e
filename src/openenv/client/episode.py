"""What a client knows of its episode."""

from __future__ import annotations

from enum import Enum

__all__ = ["Episode"]


class Episode(Enum):
    """Whether there is an episode."""

    NONE = "none was begun"
    BEGINNING = "one was asked for; whether it has begun is not known"
    RUNNING = "there is one"
    LOST = "it was lost"
    CLOSED = "the client was closed"
