"""What an agent needs, in the forms that agents read."""

from __future__ import annotations

import json
import tomllib

import pytest

from openenv.client.address import Address
from openenv.client.agent_access import AgentAccess, access_of
from openenv.errors import ConfigurationError
from openenv.protocol import AgentGranted

URL, TOKEN = "http://localhost:8000/sessions/s1/mcp", "s1.1.a2"
ACCESS = AgentAccess(URL, TOKEN)
OPEN = AgentAccess(URL, "")


@pytest.mark.parametrize(
    ("server", "path", "url"),
    [
        ("http://localhost:8000", "/sessions/s1/mcp", URL),
        ("ws://localhost:8000/ws", "/sessions/s1/mcp", URL),
        ("https://host/base/", "/sessions/s1/mcp", "https://host/base/sessions/s1/mcp"),
        ("http://localhost:8000", ":9000/sessions/s1/mcp", "http://localhost:9000/sessions/s1/mcp"),
        ("http://[::1]:8000", ":9000/sessions/s1/mcp", "http://[::1]:9000/sessions/s1/mcp"),
        ("http://localhost:8000", "http://localhost:9000/sessions/s1/mcp", "http://localhost:9000/sessions/s1/mcp"),
    ],
)
def test_the_url_is_as_the_client_reaches_the_server(server: str, path: str, url: str) -> None:
    access = access_of(Address.parse(server), AgentGranted(mcp_url=path, token=TOKEN))
    assert (access.mcp_url, access.token) == (url, TOKEN)


def test_the_token_is_not_shown() -> None:
    assert TOKEN not in repr(ACCESS)


def test_client_configurations() -> None:
    server = {"type": "http", "url": URL, "headers": {"Authorization": f"Bearer {TOKEN}"}}
    assert ACCESS.client_config() == {"mcpServers": {"env": server}}
    assert ACCESS.client_config("maze-2") == {"mcpServers": {"maze-2": server}}
    assert OPEN.client_config() == {"mcpServers": {"env": {"type": "http", "url": URL}}}


def test_for_agents_that_only_start_programs() -> None:
    args = ["mcp", URL, "--token", TOKEN]
    assert ACCESS.stdio_config() == {"mcpServers": {"env": {"command": "openenv", "args": args}}}
    assert OPEN.stdio_config()["mcpServers"]["env"]["args"] == ["mcp", URL]


def test_claude_code() -> None:
    command = ACCESS.claude_code("-p", "Play.", name="maze")
    assert command[:4] == ["claude", "-p", "Play.", "--mcp-config"]
    assert json.loads(command[4]) == ACCESS.client_config("maze")
    assert command[5:] == ["--strict-mcp-config", "--allowedTools", "mcp__maze"]


def test_codex() -> None:
    told = tomllib.loads(ACCESS.codex("maze"))
    assert told == {"mcp_servers": {"maze": {"url": URL, "http_headers": {"Authorization": f"Bearer {TOKEN}"}}}}
    assert tomllib.loads(OPEN.codex()) == {"mcp_servers": {"env": {"url": URL}}}


@pytest.mark.parametrize("name", ["", "a b", "a.b", 'a"]', "ä"])
def test_a_name_that_no_agent_takes(name: str) -> None:
    for form in (ACCESS.client_config, ACCESS.stdio_config, ACCESS.codex):
        with pytest.raises(ConfigurationError):
            form(name)
    with pytest.raises(ConfigurationError):
        ACCESS.claude_code(name=name)
