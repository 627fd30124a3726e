"""What a connection needs of whoever handles its frames."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

__all__ = ["Conveyor"]


class Conveyor(Protocol):
    """Handles the frames of one connection: with the sessions here, as ``Carrier`` does, or with those of others."""

    async def greet(self) -> bool:
        """Say hello, or open the only session of a connection of v1; whether there is one."""

    def take(self, frame: str | bytes) -> Awaitable[None] | None:
        """Handle one frame; what is returned, if anything, is to be awaited before the next."""

    async def leave(self) -> None:
        """The connection has ended."""
