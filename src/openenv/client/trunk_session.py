"""A session that shares its connection with others, as the connection sees it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from openenv.errors import OpenEnvError
from openenv.protocol import ClientSession, Request

__all__ = ["Answered", "TrunkSession"]

Answered = Callable[[Any], None]
"""Is given what a request came to: a ``StepResult``, a state, ``None`` of one that only opened, or an error."""


class TrunkSession:
    """One session, for its whole life: when it is over, another one is made.

    Attributes:
        wire: Its ids and what is unanswered, whatever connection carries it.
        owner: Whose it is, for those who are told of it.
        queue_until: Until when it may wait for a place, on the clock of the trunk.
        request: What is asked and not answered; ``None``: nothing, or only to be opened.
        answered: Who is to be told; ``None`` while nothing is asked.
        is_sent: Whether the request has its id, so that it must go out again under the same.
        is_introduced: Whether this connection was asked to open or resume it.
        is_attached: Whether it was.
        is_leaving: Whether it was given up here, and the server is yet to be told.
        error: Why it is over; ``None`` while it lives.
    """

    __slots__ = (
        "answered", "error", "is_attached", "is_introduced", "is_leaving", "is_sent", "owner",
        "queue_until", "request", "wire",
    )  # fmt: skip

    def __init__(self, queue_until: float, owner: Any = None) -> None:
        self.wire = ClientSession(secrets.token_hex(16))
        self.queue_until, self.owner = queue_until, owner
        self.request: Request | None = None
        self.answered: Answered | None = None
        self.is_sent = self.is_introduced = self.is_attached = self.is_leaving = False
        self.error: OpenEnvError | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be asked of it."""
        return self.error is not None

    @property
    def may_exist(self) -> bool:
        """Whether the server has it, or was asked to open it on the connection there is."""
        return self.wire.is_open or self.is_introduced

    def ask(self, request: Request | None, answered: Answered) -> None:
        """Note what is asked."""
        assert self.answered is None
        self.request, self.answered, self.is_sent = request, answered, False

    def detach(self) -> None:
        """Note that the connection is gone."""
        self.is_introduced = self.is_attached = False
