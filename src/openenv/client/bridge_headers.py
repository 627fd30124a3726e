"""What HTTP wants to see beside an MCP message that was written for stdio."""

from __future__ import annotations

from typing import Any

from openenv.mcp.headers import NAME_OF, PROTOCOL_VERSION_KEY, era_of
from openenv.mcp.messages import Message, Notification, Request, Response
from openenv.mcp.param_headers import encoded_value, param_headers
from openenv.mcp.versions import Era

__all__ = ["BridgeHeaders", "is_cancellation"]

_POSTED = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


class BridgeHeaders:
    """Remembers what passes, as far as later messages have to repeat it.

    Attributes:
        session_id: The server's ``Mcp-Session-Id``, once it gave one.
        version: Of MCP, once it was agreed on in the older era.
    """

    def __init__(self) -> None:
        self.session_id: str | None = None
        self.version: str | None = None
        self._schemas: dict[str, dict[str, Any]] = {}  # of tools, by name

    def of(self, message: Message) -> dict[str, str]:
        """The headers to post a message with."""
        if era_of(None, message) is Era.OLDER or isinstance(message, Response):
            begins = isinstance(message, Request) and message.method == "initialize"
            return dict(_POSTED) if begins else {**_POSTED, **self._session()}
        meta = message.params.get("_meta") or {}
        found = {**_POSTED, "mcp-method": message.method, "mcp-protocol-version": str(meta[PROTOCOL_VERSION_KEY])}
        name = message.params.get(NAME_OF.get(message.method, ""))
        if isinstance(name, str):
            found["mcp-name"] = encoded_value(name)
        if message.method == "tools/call" and isinstance(name, str) and name in self._schemas:
            arguments = message.params.get("arguments")
            found |= param_headers(self._schemas[name], arguments if isinstance(arguments, dict) else {})
        return found

    def of_stream(self, last_event_id: str = "") -> dict[str, str]:
        """The headers of a GET for what the server says by itself, or of what came after an event."""
        last = {"last-event-id": last_event_id} if last_event_id else {}
        return {"accept": "text/event-stream", **self._session(), **last}

    def of_end(self) -> dict[str, str] | None:
        """The headers of the DELETE that ends the session; ``None`` if there is none."""
        return None if self.session_id is None else self._session()

    def note(self, request: Request, answer: Response, session_id: str | None) -> None:
        """Note an answer, and the session that its headers name."""
        result = answer.result or {}
        if request.method == "initialize" and answer.error is None:
            version = result.get("protocolVersion")
            self.version = version if isinstance(version, str) else None
            self.session_id = session_id
        elif request.method == "tools/list":
            for tool in result.get("tools") or ():
                if isinstance(tool, dict) and isinstance(tool.get("inputSchema"), dict):
                    self._schemas[str(tool.get("name"))] = tool["inputSchema"]

    def _session(self) -> dict[str, str]:
        found = {}
        if self.version is not None:
            found["mcp-protocol-version"] = self.version
        if self.session_id is not None:
            found["mcp-session-id"] = self.session_id
        return found


def is_cancellation(message: Message) -> bool:
    """Whether it takes a request back."""
    return isinstance(message, Notification) and message.method == "notifications/cancelled"
