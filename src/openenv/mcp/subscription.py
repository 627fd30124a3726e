"""``subscriptions/listen``: a stream of notices that a client of the stateless era has asked for."""

from __future__ import annotations

from typing import Any

from openenv.mcp.messages import INVALID_PARAMS, McpError, Notification, Request, notification_bytes

__all__ = ["Subscription"]

_KEY = "io.modelcontextprotocol/subscriptionId"
_FLAGS = {
    "toolsListChanged": "notifications/tools/list_changed",
    "promptsListChanged": "notifications/prompts/list_changed",
    "resourcesListChanged": "notifications/resources/list_changed",
}
_RESOURCES = "resourceSubscriptions"


class Subscription:
    """What one stream carries. First ``acknowledged``, then what ``tagged`` lets through, at the end ``result``.

    Args:
        request: The ``subscriptions/listen``.

    Raises:
        McpError: It does not say properly what it wants (-32602).
    """

    def __init__(self, request: Request) -> None:
        wanted = request.params.get("notifications")
        if not isinstance(wanted, dict):
            raise McpError(INVALID_PARAMS, "Invalid params: 'notifications' must be an object", id=request.id)
        uris = wanted.get(_RESOURCES) or []
        if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
            raise McpError(INVALID_PARAMS, f"Invalid params: '{_RESOURCES}' must be a list of URIs", id=request.id)
        self._meta = {_KEY: request.id}
        self.filter: dict[str, Any] = {flag: True for flag in _FLAGS if wanted.get(flag) is True}
        self._methods = {_FLAGS[flag] for flag in self.filter}
        self._uris = set(uris)
        if uris:
            self.filter[_RESOURCES] = uris

    def acknowledged(self) -> bytes:
        """The first message: what will come."""
        params = {"notifications": self.filter, "_meta": self._meta}
        return notification_bytes("notifications/subscriptions/acknowledged", params)

    def tagged(self, notification: Notification) -> bytes | None:
        """The notification as it goes on this stream; ``None`` if it was not asked for."""
        method, params = notification.method, notification.params
        wanted = method in self._methods or (
            method == "notifications/resources/updated" and params.get("uri") in self._uris
        )
        if not wanted:
            return None
        return notification_bytes(method, {**params, "_meta": {**(params.get("_meta") or {}), **self._meta}})

    def result(self) -> dict[str, Any]:
        """The result that ends the stream, to be made ``complete``."""
        return {"_meta": self._meta}
