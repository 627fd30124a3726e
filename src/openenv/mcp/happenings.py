"""What a client of an MCP server sends, and what it finds in what comes back."""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct

from openenv.mcp.messages import McpError, RequestId
from openenv.mcp.versions import Era

__all__ = ["Answer", "Asked", "Happening", "InputWanted", "Opened", "Outgoing", "Refused", "Told"]


class Outgoing(Struct, frozen=True):
    """Something to send: over HTTP as a POST with these headers, over stdio as one line.

    Attributes:
        body: The message, without a line break.
        headers: For HTTP.
        method: Of the request or notification; empty for an answer.
        id: Of a request; ``None`` for what is not answered.
    """

    body: bytes
    headers: dict[str, str]
    method: str = ""
    id: RequestId | None = None


class Opened(Struct, frozen=True):
    """The server is known now, and may be asked.

    Attributes:
        era: How it is talked to.
        version: Of MCP.
        server_info: Name and version of the server; empty if it does not tell.
        capabilities: What it offers.
        instructions: How its tools are used, for a model; empty if it does not tell.
    """

    era: Era
    version: str
    server_info: dict[str, Any]
    capabilities: dict[str, Any]
    instructions: str


class Answer(Struct, frozen=True):
    """The result of a request."""

    id: RequestId
    method: str
    result: dict[str, Any]


class Refused(Struct, frozen=True):
    """A request that has no result; of ``server/discover`` or ``initialize``, the server cannot be used."""

    id: RequestId
    method: str
    error: McpError


class Told(Struct, frozen=True):
    """A notification of the server. Progress has the id of its request as ``progressToken``."""

    method: str
    params: dict[str, Any]


class Asked(Struct, frozen=True):
    """A question of a server of the older era, to be answered with ``ClientCore.answer``."""

    id: RequestId
    method: str
    params: dict[str, Any]


class InputWanted(Struct, frozen=True):
    """Questions of a server of the stateless era, to be answered with ``ClientCore.retry``.

    Attributes:
        id: Of the request, which has ended.
        method: Of the request.
        params: Of the request.
        questions: What is asked, by name: ``{"method": ..., "params": {...}}``. If empty, ask again a little later.
        state: What goes back beside the answers.
        input_schema: Of the tool, if it was given with the request.
    """

    id: RequestId
    method: str
    params: dict[str, Any]
    questions: dict[str, dict[str, Any]]
    state: str | None
    input_schema: dict[str, Any] | None = None


Happening: TypeAlias = Opened | Answer | Refused | Told | Asked | InputWanted
