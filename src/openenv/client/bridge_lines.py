"""An array of messages that a stdio client wrote on one line."""

from __future__ import annotations

import msgspec

from openenv.mcp.messages import McpError, Message, read_batch
from openenv.mcp.older import check_batch
from openenv.mcp.versions import LATEST_STATELESS

__all__ = ["messages_of"]


def messages_of(line: bytes, version: str | None) -> list[tuple[Message | McpError, bytes]]:
    """The messages of an array, each also as it was written; in the place of each that is none, what is wrong with it.

    Args:
        line: What the client wrote.
        version: Of MCP, as it was agreed on; ``None``: nothing was, as in the stateless era.

    Raises:
        McpError: It is no array, or none that this client may send.
    """
    messages = read_batch(line)
    check_batch(messages, version or LATEST_STATELESS)
    parts = msgspec.json.decode(line, type=list[msgspec.Raw])
    return [(message, bytes(part)) for message, part in zip(messages, parts, strict=True)]
