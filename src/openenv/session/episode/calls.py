"""A call of a tool as who made it knows it, and what those hear who watch a session."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from openenv.protocol import Observed, Reset, Step

if TYPE_CHECKING:
    from openenv.errors import OpenEnvError
    from openenv.tools import Changed, Note

__all__ = ["Call", "Listener", "Moved", "Watcher", "tell"]

log = logging.getLogger("openenv.session")

Listener = Callable[["Note"], None]
"""Hears the notes of a call, in the server's thread, before its answer; it must neither wait nor raise."""

Watcher = Callable[["Moved | Changed"], None]
"""Hears what happens in a session, in the server's thread; it must neither wait nor raise."""


class Call:
    """One call of a tool, for who makes it to hear of and to cancel.

    Args:
        listener: Hears what the call says while it runs.
        ordinal: Of the episode that it is for, as ``Tally`` counts them; in another one it is refused. ``None``: it is
            for whichever runs when its turn comes.

    Attributes:
        listener: As given; may be set until the call is made.
        ordinal: As given.
        is_cancelled: Whether who made the call has given up.
    """

    __slots__ = ("is_cancelled", "listener", "ordinal")

    def __init__(self, listener: Listener | None = None, *, ordinal: int | None = None) -> None:
        self.listener, self.ordinal = listener, ordinal
        self.is_cancelled = False


class Moved(Struct, frozen=True):
    """A move that the environment has answered.

    Attributes:
        request: What was asked; of a reset with the seed and the episode's id really used.
        answer: What was answered. Its objects are the environment's, which may use them again: encode them now.
        index: Position in the episode, from 0, which is the reset.
        episode: Id of the episode, empty where it has none.
        at: When it was asked, in seconds since 1970 (UTC).
        duration_s: Seconds from there to the answer.
    """

    request: Reset | Step
    answer: Observed | OpenEnvError
    index: int
    episode: str
    at: float
    duration_s: float


def tell(watchers: list[Watcher], news: Moved | Changed) -> None:
    """Tell all of them."""
    for watcher in [*watchers]:
        try:
            watcher(news)
        except Exception:  # what watches must not change what it sees
            log.exception("who watches a session failed")
