"""One MCP session of the older era: what was agreed on in its beginning, and what is open between both sides."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from msgspec import Struct

from openenv.mcp.messages import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    McpError,
    Message,
    Notification,
    Request,
    RequestId,
    Response,
    notification_bytes,
    request_bytes,
)
from openenv.mcp.stateless import LOG_LEVELS, declares
from openenv.mcp.versions import BATCHING, OLDER, negotiated

__all__ = ["METHODS", "Answered", "OlderSession", "Phase", "check_batch"]

METHODS = frozenset(
    (
        "initialize",
        "ping",
        "tools/list",
        "tools/call",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
        "prompts/list",
        "prompts/get",
        "completion/complete",
        "logging/setLevel",
    )
)
"""What may be asked in this era."""

_PRIMING_SINCE = OLDER.index("2025-11-25")
_MOST_URIS = 1000


def check_batch(messages: Sequence[Message | McpError], version: str | None) -> None:
    """Whether messages may be sent as one array.

    Args:
        messages: As ``read_batch`` gives them.
        version: Of MCP; ``None`` where it is not known.

    Raises:
        McpError: The version has no arrays, or there is an ``initialize`` among them, which is sent alone (-32600).
    """
    for one in messages:
        if isinstance(one, Request) and one.method == "initialize":
            raise McpError(INVALID_REQUEST, "Invalid request: 'initialize' is sent alone, not in an array", id=one.id)
    if version is not None and version not in BATCHING:
        message = (
            f"Invalid request: send one message, not an array of them: MCP {version} has none, "
            f"{' and '.join(BATCHING)} have"
        )
        raise McpError(INVALID_REQUEST, message)


class Phase(Enum):
    """How far the handshake has come."""

    FRESH = "nothing was said"
    GREETED = "initialize was answered"
    INITIALIZED = "the client has said that it is ready"


class Answered(Struct, frozen=True):
    """What the client said to a question.

    Attributes:
        about: What was given when it was asked.
        result: The answer; ``None`` if there is an error.
        error: Why there is none.
    """

    about: object
    result: dict[str, Any] | None
    error: McpError | None


class OlderSession:
    """What the server remembers of one client.

    Attributes:
        phase: How far the handshake has come.
        version: What was agreed on; the latest until then.
        client_info: Name and version of the client.
        client_capabilities: What it can do when it is asked.
        log_level: The least severe messages that it wants.
        subscribed: The URIs whose changes it wants to hear of.
    """

    __slots__ = (
        "_last_id",
        "_pending",
        "client_capabilities",
        "client_info",
        "log_level",
        "phase",
        "subscribed",
        "version",
    )

    def __init__(self) -> None:
        self.phase = Phase.FRESH
        self.version = OLDER[-1]
        self.client_info: dict[str, Any] = {}
        self.client_capabilities: dict[str, Any] = {}
        self.log_level = "info"
        self.subscribed: set[str] = set()
        self._pending: dict[RequestId, object] = {}
        self._last_id = 0

    # Requests of the client -----------------------------------------------------------------------------

    def check(self, request: Request) -> None:
        """Whether this may be asked now. All but ``initialize`` and ``ping`` have to wait for the handshake.

        Raises:
            McpError: The method does not exist (-32601), or the handshake has not begun, or begins again (-32600).
        """
        if request.method not in METHODS:
            message = f"Method not found: {request.method}"
            raise McpError(METHOD_NOT_FOUND, message, http_status=200, id=request.id)
        if self.phase is Phase.FRESH and request.method not in ("initialize", "ping"):
            message = "Invalid request: begin with 'initialize'"
            raise McpError(INVALID_REQUEST, message, id=request.id)
        if self.phase is not Phase.FRESH and request.method == "initialize":
            message = "Invalid request: this session has begun; open another for another 'initialize'"
            raise McpError(INVALID_REQUEST, message, id=request.id)

    def initialize(
        self, request: Request, server_info: dict[str, Any], capabilities: dict[str, Any], instructions: str | None
    ) -> dict[str, Any]:
        """Begin: the result of the ``initialize``.

        Raises:
            McpError: The request is wrong (-32602), or not the first (-32600).
        """
        self.check(request)
        asked = request.params.get("protocolVersion")
        offered, info = request.params.get("capabilities"), request.params.get("clientInfo")
        if not isinstance(asked, str):
            raise _invalid("'protocolVersion' must be a string", request)
        if offered is not None and not isinstance(offered, dict):
            raise _invalid("'capabilities' must be an object", request)
        self.version = negotiated(asked)
        self.client_capabilities = offered or {}
        self.client_info = info if isinstance(info, dict) else {}
        self.phase = Phase.GREETED
        result = {"protocolVersion": self.version, "capabilities": capabilities, "serverInfo": server_info}
        return {**result, "instructions": instructions} if instructions else result

    def resume(self, version: str) -> None:
        """Go on with a session that another process began; what its client can do is not known here."""
        self.version, self.phase = version, Phase.INITIALIZED

    def set_level(self, request: Request) -> dict[str, Any]:
        """The result of ``logging/setLevel``.

        Raises:
            McpError: There is no such level (-32602).
        """
        level = request.params.get("level")
        if level not in LOG_LEVELS:
            raise _invalid(f"'level' must be one of {', '.join(LOG_LEVELS)}", request)
        self.log_level = level
        return {}

    def subscribe(self, request: Request) -> dict[str, Any]:
        """The result of ``resources/subscribe`` or ``resources/unsubscribe``.

        Raises:
            McpError: There is no URI, or there are more than a client may have (-32602).
        """
        uri = request.params.get("uri")
        if not isinstance(uri, str):
            raise _invalid("'uri' must be a string", request)
        if request.method == "resources/unsubscribe":
            self.subscribed.discard(uri)
        elif len(self.subscribed) >= _MOST_URIS and uri not in self.subscribed:
            raise _invalid(f"there are {_MOST_URIS} subscriptions; end one first", request)
        else:
            self.subscribed.add(uri)
        return {}

    def notified(self, notification: Notification) -> RequestId | None:
        """Take a notification of the client; the id of the request that it cancels, if it does."""
        if notification.method == "notifications/initialized" and self.phase is Phase.GREETED:
            self.phase = Phase.INITIALIZED
        if notification.method == "notifications/cancelled":
            found = notification.params.get("requestId")
            return found if isinstance(found, (int, str)) else None
        return None

    # What is told and asked ------------------------------------------------------------------------------

    def wants(self, notification: Notification) -> bool:
        """Whether the client wants to hear this: messages by their level, changes of resources by their URI."""
        if notification.method == "notifications/message":
            level = notification.params.get("level")
            return level in LOG_LEVELS and LOG_LEVELS.index(level) >= LOG_LEVELS.index(self.log_level)
        if notification.method == "notifications/resources/updated":
            return notification.params.get("uri") in self.subscribed
        return True

    def declares(self, needed: dict[str, Any]) -> bool:
        """Whether the client can do what is needed, such as ``{"sampling": {}}``."""
        return declares(self.client_capabilities, needed)

    @property
    def takes_priming(self) -> bool:
        """Whether the client knows events without data, with which a stream begins so that it can be taken up again."""
        return OLDER.index(self.version) >= _PRIMING_SINCE

    def ask(self, method: str, params: dict[str, Any], about: object) -> tuple[RequestId, bytes]:
        """A question to the client: its id, and how it goes on the wire.

        Args:
            method: ``elicitation/create``, ``sampling/createMessage`` or ``roots/list``.
            params: Its parameters.
            about: Comes back with the answer.
        """
        self._last_id += 1
        id = f"server-{self._last_id}"
        self._pending[id] = about
        return id, request_bytes(id, method, params)

    def answered(self, response: Response) -> Answered | None:
        """What a response answers; ``None`` if nothing like that is open."""
        if response.id is None or response.id not in self._pending:
            return None
        return Answered(self._pending.pop(response.id), response.result, response.error)

    def withdraw(self, id: RequestId, reason: str = "") -> bytes | None:
        """Take a question back: how that is said, or ``None`` if it is not open."""
        if id not in self._pending:
            return None
        del self._pending[id]
        params: dict[str, Any] = {"requestId": id}
        return notification_bytes("notifications/cancelled", {**params, "reason": reason} if reason else params)

    @property
    def open_questions(self) -> tuple[RequestId, ...]:
        """The ids of what was asked and not answered."""
        return tuple(self._pending)


def _invalid(message: str, request: Request) -> McpError:
    return McpError(INVALID_PARAMS, f"Invalid params: {message}", http_status=200, id=request.id)
