"""The bearer token of a request, and the session that an agent's token names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["bearer", "bearer_in", "session_named"]

_OF_AGENT = re.compile(r"([\w-]+)\.\d+\.[\w-]+", re.ASCII)  # as Session.agent_token makes them


def bearer(scope: Mapping[str, Any]) -> str | None:
    """The token that a request shows.

    Args:
        scope: Its ASGI scope.
    """
    for name, value in scope["headers"]:
        if name == b"authorization":
            return bearer_in(value) or None
    return None


def bearer_in(value: bytes) -> str | None:
    """The token in an ``Authorization`` header, which may be empty; ``None`` where it is of another kind."""
    return value[7:].strip().decode("latin-1") if value[:7].lower() == b"bearer " else None


def session_named(token: str | None) -> str | None:
    """The session that a token names, if it has the form of an agent's."""
    found = _OF_AGENT.fullmatch(token or "")
    return None if found is None else found[1]
