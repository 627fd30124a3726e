"""Tools from elsewhere, such as another server, as an environment mounts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from openenv.tools.context import ToolContext
from openenv.tools.definition import Tool

__all__ = ["Toolset"]


@runtime_checkable
class Toolset(Protocol):
    """Tools that are not functions of the environment. One belongs to one environment; its calls come one at a time.

    Attributes:
        name: What it is called in messages.
    """

    name: str

    def fresh(self) -> Toolset:
        """Another one like it, for another environment."""

    async def begin(self, credentials: Mapping[str, str]) -> None:
        """Get ready for an episode: connect, or make sure that it is as it was. Called at every reset.

        Args:
            credentials: Those of the environment, by name.

        Raises:
            ToolsetUnavailable: It cannot be reached, or is not what it was said to be.
        """

    def tools(self) -> Sequence[Tool]:
        """What there is, once ``begin`` has returned; their functions are not used."""

    async def call(self, name: str, arguments: Mapping[str, Any], context: ToolContext) -> dict[str, Any]:
        """Call one of the tools.

        Returns:
            A ``result`` as of a ``CallToolObservation``; see ``result_of``.

        Raises:
            ToolsetUnavailable: It is gone.
        """

    async def close(self) -> None:
        """Give back what it holds, whatever state it is in."""
