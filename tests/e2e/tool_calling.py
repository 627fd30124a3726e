"""Clients of tools that tests drive, an agent's requests over MCP, and a server as they were up to 0.10."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from tests.unit.client.servers import Driven
from websockets.sync.server import ServerConnection

from openenv import MCPToolClient

__all__ = ["Kind", "calling", "old_server", "over_mcp"]

Kind = type[MCPToolClient[Any, Any, Any]]


@contextmanager
def calling(kind: str, url: str, cls: Kind = MCPToolClient, **options: Any) -> Iterator[Any]:
    """A client of tools of that kind, not connected yet."""
    client = cls(url, **options)
    if kind == "sync":
        blocking = client.sync()
        try:
            yield blocking
        finally:
            blocking.close()
    else:
        driven = Driven(client)
        try:
            yield driven
        finally:
            driven.end()


def over_mcp(url: str, token: str, method: str, params: dict[str, Any]) -> httpx.Response:
    """What an agent asks over MCP, in the era without sessions."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": method,
        **({"mcp-name": params["name"]} if "name" in params else {}),
        **({"authorization": f"Bearer {token}"} if token else {}),
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    return httpx.post(url, json=body, headers=headers, trust_env=False)


CONTENT = {"content": [{"type": "text", "text": "3"}], "structured_content": {"result": 3}, "meta": None, "data": 3}


def old_server(connection: ServerConnection) -> None:
    """Answers calls as version 0.10 does."""
    for text in connection:
        frame = json.loads(text)
        if frame["type"] == "close":
            return
        observation: dict[str, Any] = {"metadata": {}}
        match frame["type"], frame.get("data"):
            case "step", {"type": "list_tools", **rest} if not rest:
                schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
                observation |= {"tools": [{"name": "add", "description": "", "input_schema": schema}]}
            case "step", {"type": "call_tool", "tool_name": "add", "arguments": {"a": 1}, **rest} if not rest:
                observation |= {"tool_name": "add", "result": {**CONTENT, "is_error": False}, "error": None}
            case "step", {"type": "call_tool", "tool_name": name}:
                error = {"error_type": "execution_error", "message": f"Unknown tool: '{name}'"}
                observation |= {"tool_name": name, "result": None, "error": error}
        told = {"observation": observation, "reward": None, "done": False}
        connection.send(json.dumps({"type": "observation", "data": told}))
