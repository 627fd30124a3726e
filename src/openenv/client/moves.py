"""What a conversation asks its client to do."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from openenv.protocol import Reply

__all__ = ["Ask", "Connect", "HangUp", "Look", "Move", "Moves", "Part", "Pause", "Tell"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Connect:
    """Connect, within ``timeout_s``; gives the subprotocol that the server chose. Raises ``ConnectFailed``."""

    timeout_s: float


@dataclass(slots=True)  # not frozen: that would take longer to make than all else in it
class Ask:
    """Send a frame, if there is one, and wait until ``take`` finds a reply in what arrives; gives it.

    Raises ``Broken``: the connection ended, nothing came within ``timeout_s``, or the server was silent for
    ``silence_s``, was pinged, and was silent for as long again.
    """

    frame: str | bytes | None
    take: Callable[[str | bytes], Reply | None]
    timeout_s: float | None = None
    silence_s: float | None = None


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a frame that nobody waits to see answered; gives whether the connection took it within ``timeout_s``."""

    frame: str | bytes
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Look:
    """See how the connection ended while nobody waited; gives a ``Broken``, or ``None`` if nothing is known."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds, or until the client is closed by another thread or task."""

    seconds: float


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the connection at once."""


@dataclass(frozen=True, slots=True)
class Part:
    """End the connection in order, within ``timeout_s``."""

    timeout_s: float


Move = Connect | Ask | Tell | Look | Pause | HangUp | Part

Moves = Generator[Move, Any, T]
"""Moves to make one after another: each is sent back what it gives, or thrown what it raises; they end with a T."""
