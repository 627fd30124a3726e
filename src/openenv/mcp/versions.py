"""The versions of MCP, which come in two eras."""

from __future__ import annotations

from enum import Enum

__all__ = [
    "BATCHING",
    "LATEST_OLDER",
    "LATEST_STATELESS",
    "OLDER",
    "STATELESS",
    "SUPPORTED",
    "UNNAMED",
    "Era",
    "negotiated",
]

OLDER = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Versions that begin with ``initialize``, oldest first."""

BATCHING = OLDER[:2]
"""Versions in which a client may send several messages as one array."""

UNNAMED = "2025-03-26"
"""What a request of that era is of that names no version, where none is known: all later ones have to."""

STATELESS = ("2026-07-28",)
"""Versions in which each request says for itself what it needs, oldest first."""

LATEST_OLDER = OLDER[-1]
LATEST_STATELESS = STATELESS[-1]

SUPPORTED = (*reversed(STATELESS), *reversed(OLDER))
"""All versions that are spoken here, newest first."""


class Era(Enum):
    """Which of the two ways of talking a message belongs to."""

    OLDER = "older"
    STATELESS = "stateless"


def negotiated(asked: str) -> str:
    """The version that an ``initialize`` is answered with: the one it asks for, or else the latest of its era."""
    return asked if asked in OLDER else LATEST_OLDER
