"""What an agent needs to play an episode over MCP, and how common agents are told."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from openenv.mcp.agent_access import AgentAccess

__all__ = ["agent_access", "base_url_of"]

Scope = Mapping[str, Any]


def agent_access(url: str, token: str, name: str) -> dict[str, Any]:
    """The access to one episode.

    Args:
        url: Its MCP endpoint.
        token: What is to be shown there.
        name: What the server is to be called by the agent.

    Returns:
        ``mcp_url``, ``token``, and ``clients``: the same as ``mcp_servers`` (the JSON that most clients read),
        ``claude_code`` (a command line), ``claude_code_json`` (what ``claude mcp add-json`` takes) and ``codex`` (lines
        of ``config.toml``).
    """
    name = "".join(one if one.isascii() and (one.isalnum() or one in "-_") else "-" for one in name) or "env"
    access = AgentAccess(url, token)
    servers = access.client_config(name)
    header = f"Authorization: {access.headers['Authorization']}"
    command = ["claude", "mcp", "add", "--transport", "http", name, url, "--header", header]
    return {
        "mcp_url": url,
        "token": token,
        "clients": {
            "mcp_servers": servers,
            "claude_code": shlex.join(command),
            "claude_code_json": servers["mcpServers"][name],
            "codex": access.codex(name),
        },
    }


def base_url_of(scope: Scope, port: int | None = None) -> str:
    """The URL of the application as the client that asks reaches it, without a slash at its end.

    Args:
        scope: The ASGI scope of its request.
        port: Another port of the same host, if that is meant.
    """
    scheme = {"ws": "http", "wss": "https"}.get(scope.get("scheme", "http"), scope.get("scheme", "http"))
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    if not host:
        address, own_port = scope.get("server") or ("localhost", None)
        address = f"[{address}]" if ":" in address else address
        host = address if own_port is None else f"{address}:{own_port}"
    if port is not None:
        name = host.rpartition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
        host = f"{name}:{port}"
    return f"{scheme}://{host}{scope.get('root_path', '')}".rstrip("/")
