"""A way to one outside server, over which requests go one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from openenv.mcp.client import ClientCore
from openenv.mcp.happenings import Answer, Asked, InputWanted, Opened, Outgoing, Refused, Told
from openenv.mcp.messages import METHOD_NOT_FOUND, McpError
from openenv.version import __version__

__all__ = ["CAPABILITIES", "CLIENT_INFO", "MAX_MESSAGE_BYTES", "CoreLink", "Link", "Listener", "Outcome"]

CLIENT_INFO = {"name": "openenv", "version": __version__}
CAPABILITIES: dict[str, Any] = {"elicitation": {}, "sampling": {}}
"""What is declared. Roots are not: servers would take those of a caller that has none for their own."""

MAX_MESSAGE_BYTES = 32 * 1024 * 1024

Outcome = Answer | Refused | InputWanted


class Listener:
    """Who hears what a server says while it works on a request; this one hears nothing."""

    async def asked(self, asked: Asked) -> dict[str, Any] | McpError:
        """The answer to a question."""
        return McpError(METHOD_NOT_FOUND, f"nobody here answers {asked.method}")

    def told(self, told: Told) -> None:
        """Take a notification."""


class Link(Protocol):
    """One connection. All of it happens in the background's loop.

    Attributes:
        opened: What is known of the server.
    """

    opened: Opened

    async def request(
        self, method: str, params: Mapping[str, Any], listener: Listener, *, input_schema: dict[str, Any] | None = None
    ) -> Outcome:
        """Ask something. If it is cancelled, so is the request.

        Raises:
            ToolsetUnavailable: The server is not there any more, or breaks the protocol.
        """

    async def retry(self, wanted: InputWanted, responses: dict[str, dict[str, Any]], listener: Listener) -> Outcome:
        """Ask it again with answers, as ``request``."""

    async def is_alive(self) -> bool:
        """Whether the server can be asked still, as far as that is known."""

    async def close(self) -> None:
        """End it and everything that it holds."""


class CoreLink:
    """What links have in common: a request is one of the core's, which each carries in its way."""

    _core: ClientCore

    async def request(
        self, method: str, params: Mapping[str, Any], listener: Listener, *, input_schema: dict[str, Any] | None = None
    ) -> Outcome:
        """As ``Link.request``."""
        wants_progress = method == "tools/call"
        sent = self._core.request(method, dict(params), wants_progress=wants_progress, input_schema=input_schema)
        return await self._answered(sent, listener)

    async def retry(self, wanted: InputWanted, responses: dict[str, dict[str, Any]], listener: Listener) -> Outcome:
        """As ``Link.retry``."""
        return await self._answered(self._core.retry(wanted, responses, wants_progress=True), listener)

    async def _answered(self, sent: Outgoing, listener: Listener) -> Outcome:
        raise NotImplementedError
