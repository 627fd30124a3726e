"""An environment that has nothing but tools of other MCP servers."""

from __future__ import annotations

from openenv.environment import ToolEnvironment
from openenv.types import Observation, State

__all__ = ["OutsideTools"]


class OutsideTools(ToolEnvironment[State]):
    """Tools of other MCP servers, which are named where it is served."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed: int | None = None) -> Observation:
        """Begin an episode, which has no end of its own."""
        return Observation()
