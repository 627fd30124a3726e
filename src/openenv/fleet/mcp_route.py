"""Which worker an MCP request to ``/mcp`` is for, as far as it tells."""

from __future__ import annotations

import zlib

import msgspec

from openenv.server.bearer import bearer, session_named
from openenv.server.exchange import Request

__all__ = ["McpTarget", "mcp_target"]

_SESSION = "mcp-session-id"
_VERSION = "mcp-protocol-version"


class McpTarget(msgspec.Struct, frozen=True):
    """Where it is to go.

    Attributes:
        session: The session that it names; empty if it names none.
        is_new: Whether a session is to be opened for it.
        client: Number drawn from the token of a client that names no session; ``None`` without one.
    """

    session: str = ""
    is_new: bool = False
    client: int | None = None


class _Params(msgspec.Struct):
    session_id: str = ""


class _Message(msgspec.Struct):
    method: str = ""
    params: _Params = msgspec.field(default_factory=_Params)


_decode = msgspec.json.Decoder(_Message).decode


def mcp_target(request: Request, body: bytes) -> McpTarget:
    """The target of a request.

    Args:
        request: A request to ``/mcp``.
        body: Its body; empty of a GET or DELETE.
    """
    named = request.header(_SESSION)
    if named:
        return McpTarget(named.partition(".")[0])
    token = bearer(request.scope)
    of_agent = session_named(token)
    if of_agent is not None:
        return McpTarget(of_agent)
    try:
        message = _decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return McpTarget()  # where it will be said what is wrong
    if message.params.session_id:  # as clients of 0.10 name one
        return McpTarget(message.params.session_id)
    is_new = message.method in ("initialize", "openenv/session/create")
    client = None if token is None or request.header(_VERSION) is None else zlib.crc32(token.encode())
    return McpTarget(is_new=is_new, client=client)
