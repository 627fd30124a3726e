"""What the server says that it can do."""

from __future__ import annotations

from typing import Any

from openenv.mcp.versions import Era

__all__ = ["server_capabilities"]


def server_capabilities(about: dict[str, bool], era: Era) -> dict[str, Any]:
    """The ``capabilities`` of an ``initialize`` or a ``server/discover``.

    Args:
        about: What the environment offers beside tools: ``resources``, ``prompts``, ``completions``.
        era: Whose form to take. Both have the same; in the stateless one what changes is told to those who listen.
    """
    found: dict[str, Any] = {"tools": {"listChanged": True}, "logging": {}}
    if about.get("resources"):
        found["resources"] = {"subscribe": True, "listChanged": True}
    if about.get("prompts"):
        found["prompts"] = {"listChanged": True}
    if about.get("completions"):
        found["completions"] = {}
    return found
