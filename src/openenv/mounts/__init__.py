"""MCP servers from elsewhere as toolsets of an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv.lazy import on_first_use

if TYPE_CHECKING:
    from openenv.mounts.description import ServerDescription
    from openenv.mounts.server import OutsideServer

_HOME = {"OutsideServer": "server", "ServerDescription": "description"}

__all__ = ["OutsideServer", "ServerDescription"]

__getattr__ = on_first_use(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
