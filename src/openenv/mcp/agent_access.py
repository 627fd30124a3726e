"""What an agent needs to play an episode over MCP, in the forms that agents read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from openenv.errors import ConfigurationError

__all__ = ["AgentAccess"]


@dataclass(frozen=True)
class AgentAccess:
    """How an agent reaches one episode over MCP. It gets tools, resources and prompts; never reset, never reward.

    Attributes:
        mcp_url: The endpoint, Streamable HTTP.
        token: What to show there as a bearer token. A secret, good until the next reset.
    """

    mcp_url: str
    token: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """The headers to send with each request."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def client_config(self, name: str = "env") -> dict[str, Any]:
        """What most agents read as JSON: ``{"mcpServers": {name: {...}}}``.

        Args:
            name: What the agent calls the server.
        """
        server: dict[str, Any] = {"type": "http", "url": self.mcp_url}
        if self.token:
            server["headers"] = self.headers
        return {"mcpServers": {_checked(name): server}}

    def stdio_config(self, name: str = "env") -> dict[str, Any]:
        """The same for agents that only start programs: ``openenv mcp`` passes on what they say."""
        token = ["--token", self.token] if self.token else []
        server = {"command": "openenv", "args": ["mcp", self.mcp_url, *token]}
        return {"mcpServers": {_checked(name): server}}

    def claude_code(self, *arguments: str, name: str = "env") -> list[str]:
        """The command that starts Claude Code with these tools alone, which it may use without asking.

        Args:
            *arguments: Further arguments, such as ``"-p", "Play the game."``.
            name: What the agent calls the server: its tools are ``mcp__NAME__TOOL``.
        """
        config = json.dumps(self.client_config(name))
        ours = ["--mcp-config", config, "--strict-mcp-config", "--allowedTools", f"mcp__{name}"]
        return ["claude", *arguments, *ours]

    def codex(self, name: str = "env") -> str:
        """The lines to add to Codex's ``config.toml``."""
        lines = [f"[mcp_servers.{_checked(name)}]", f"url = {json.dumps(self.mcp_url)}"]
        if self.token:
            lines.append(f"http_headers = {{ Authorization = {json.dumps(self.headers['Authorization'])} }}")
        return "\n".join(lines) + "\n"


def _checked(name: str) -> str:
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise ConfigurationError(f"{name!r} is no name for an MCP server; use letters, digits, - and _")
    return name
