"""What a server granted to an agent, as this client reaches it."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from openenv.client.address import Address
from openenv.mcp.agent_access import AgentAccess
from openenv.protocol import AgentGranted

__all__ = ["AgentAccess", "access_of"]

_PORT = re.compile(r":(?P<port>\d{1,5})(?P<path>/.*)")
"""Of a server that has another port for agents."""


def access_of(server: Address, granted: AgentGranted) -> AgentAccess:
    """The access that a server granted, with its URL as this client reaches it."""
    url = granted.mcp_url
    if own_port := _PORT.fullmatch(url):
        base = urlsplit(server.http)
        host = f"[{base.hostname}]" if ":" in (base.hostname or "") else base.hostname
        url = f"{base.scheme}://{host}:{own_port['port']}{own_port['path']}"
    return AgentAccess(urljoin(f"{server.http}/", url.removeprefix("/")), granted.token)
