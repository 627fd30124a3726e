"""The client's side of MCP, without I/O, for servers of both eras."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct

from openenv.mcp.happenings import Answer, Asked, Happening, InputWanted, Opened, Outgoing, Refused, Told
from openenv.mcp.headers import NAME_OF, PROTOCOL_VERSION_KEY
from openenv.mcp.messages import (
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    UNSUPPORTED_VERSION,
    McpError,
    Notification,
    Request,
    RequestId,
    Response,
    error_bytes,
    notification_bytes,
    read,
    request_bytes,
    result_bytes,
)
from openenv.mcp.param_headers import encoded_value, param_headers
from openenv.mcp.versions import LATEST_OLDER, LATEST_STATELESS, OLDER, STATELESS, Era

__all__ = ["ClientCore"]

_PREFIX = "io.modelcontextprotocol/"
_PROBE, _HANDSHAKE = "server/discover", "initialize"


class _Open(Struct, frozen=True):
    """A request without an answer yet."""

    method: str
    params: dict[str, Any]
    input_schema: dict[str, Any] | None


class ClientCore:
    """One client of one server.

    Send what ``opening`` gives, give everything that comes back to ``receive``, and send what ``take`` gives after
    that, until there is an ``Opened``. From then on there are requests. The era is found out by asking for the
    stateless one first: a server that does not know it is an older one.

    Args:
        client_info: Name and version of the client.
        capabilities: What it can do when it is asked; declare only what ``answers`` covers.
        answers: Methods of questions that whoever uses this answers, such as ``elicitation/create``. Others are
            refused here.
        first: The era to begin with; ``Era.OLDER`` for servers that would not survive an unknown method.

    Attributes:
        opened: What is known of the server; ``None`` until it is.
        session_id: Its ``Mcp-Session-Id``, which whoever talks HTTP puts here when an answer has one.
    """

    def __init__(
        self,
        client_info: dict[str, Any],
        capabilities: dict[str, Any] | None = None,
        *,
        answers: Collection[str] = (),
        first: Era = Era.STATELESS,
    ) -> None:
        self.opened: Opened | None = None
        self.session_id: str | None = None
        self._info = client_info
        self._capabilities = capabilities or {}
        self._answers = frozenset(answers)
        self._era = first
        self._version = LATEST_STATELESS if first is Era.STATELESS else LATEST_OLDER
        self._last_id = 0
        self._open: dict[RequestId, _Open] = {}
        self._outgoing: list[Outgoing] = []

    # What is sent ----------------------------------------------------------------------------------------

    def opening(self) -> Outgoing:
        """The first request."""
        return self.request(_PROBE) if self._era is Era.STATELESS else self._handshake()

    def take(self) -> list[Outgoing]:
        """What has to be sent now, in this order."""
        found, self._outgoing = self._outgoing, []
        return found

    def request(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        wants_progress: bool = False,
        input_schema: dict[str, Any] | None = None,
    ) -> Outgoing:
        """A request.

        Args:
            method: What is asked.
            params: Its parameters.
            wants_progress: Whether progress is told, with the id of the request as its token.
            input_schema: Of the tool that is called, which may want arguments repeated in headers.

        Raises:
            McpError: The parameters have no form in JSON (-32603).
        """
        self._last_id += 1
        id = self._last_id
        given = params or {}
        meta = {**(given.get("_meta") or {})}
        if self._era is Era.STATELESS:
            meta[PROTOCOL_VERSION_KEY] = self._version
            meta[f"{_PREFIX}clientInfo"] = self._info
            meta[f"{_PREFIX}clientCapabilities"] = self._capabilities
        if wants_progress:
            meta["progressToken"] = id
        sent = {**given, "_meta": meta} if meta else given
        body = request_bytes(id, method, sent or None)
        self._open[id] = _Open(method, given, input_schema)
        return Outgoing(body, self._headers(method, given, input_schema), method, id)

    def notify(self, method: str, params: dict[str, Any] | None = None) -> Outgoing:
        """A notification."""
        return Outgoing(notification_bytes(method, params), self._headers(method, {}), method)

    def cancel(self, id: RequestId, reason: str = "") -> Outgoing:
        """Say that an answer is not wanted any more; if it comes, it is dropped.

        In the stateless era this is for stdio alone: over HTTP, close the request's stream instead, after ``forget``.
        """
        self.forget(id)
        params: dict[str, Any] = {"requestId": id}
        return self.notify("notifications/cancelled", {**params, "reason": reason} if reason else params)

    def forget(self, id: RequestId) -> None:
        """Drop the answer of a request, if it comes."""
        self._open.pop(id, None)

    def answer(self, asked: Asked, result: dict[str, Any] | McpError) -> Outgoing:
        """The answer to a question of the server."""
        if isinstance(result, McpError):
            return Outgoing(error_bytes(asked.id, result), self._headers("", {}))
        return Outgoing(result_bytes(asked.id, result), self._headers("", {}))

    def retry(
        self, wanted: InputWanted, responses: dict[str, dict[str, Any]], *, wants_progress: bool = False
    ) -> Outgoing:
        """The request again, with answers to what the server wants to know first."""
        params = {**wanted.params, "inputResponses": responses}
        if wanted.state is not None:
            params["requestState"] = wanted.state
        return self.request(wanted.method, params, wants_progress=wants_progress, input_schema=wanted.input_schema)

    def stream_headers(self, last_event_id: str = "") -> dict[str, str]:
        """The headers of a GET for what a server of the older era says by itself, or of what came after an event."""
        found = {"accept": "text/event-stream", **self._common()}
        return {**found, "last-event-id": last_event_id} if last_event_id else found

    def closing_headers(self) -> dict[str, str] | None:
        """The headers of the DELETE that ends the session; ``None`` if there is none."""
        return self._common() if self.session_id is not None else None

    # What comes back -------------------------------------------------------------------------------------

    def receive(self, body: bytes | str) -> Happening | None:
        """What one message says; ``None`` if it needs no attention but that of ``take``.

        Raises:
            McpError: It is no JSON-RPC message.
        """
        message = read(body)
        if isinstance(message, Response):
            return self._response(message)
        if isinstance(message, Notification):
            return Told(message.method, message.params)
        return self._asked(message)

    def failed(self, id: RequestId, status: int, body: bytes = b"") -> Happening | None:
        """What an HTTP status of 400 or more means to a request; as ``receive``.

        A refusal of the first request may mean an older server, which is then asked in its way.
        """
        if id not in self._open:
            return None
        error = McpError(INVALID_REQUEST, f"The server answered with HTTP status {status}", http_status=status)
        try:
            message = read(body)
        except McpError:
            message = None
        if isinstance(message, Response) and message.error is not None:
            error = message.error
            error.http_status = status
        return self._refused(id, error)

    def _response(self, response: Response) -> Happening | None:
        id = response.id
        if id is None or id not in self._open:
            return None
        if response.error is not None:
            return self._refused(id, response.error)
        request, result = self._open.pop(id), response.result or {}
        if request.method == _PROBE and self.opened is None:
            return self._discovered(id, result)
        if request.method == _HANDSHAKE:
            return self._greeted(id, result)
        if self._era is Era.STATELESS and result.get("resultType") == "input_required":
            return self._input_wanted(id, request, result)
        return Answer(id, request.method, result)

    def _refused(self, id: RequestId, error: McpError) -> Refused | None:
        request = self._open.pop(id)
        if request.method == _PROBE and self.opened is None and _may_be_older(error):
            self._outgoing.append(self._handshake())
            return None
        return Refused(id, request.method, error)

    def _discovered(self, id: RequestId, result: dict[str, Any]) -> Opened | None:
        versions = result.get("supportedVersions")
        known = [version for version in STATELESS if isinstance(versions, list) and version in versions]
        if not known:
            self._outgoing.append(self._handshake())
            return None
        self._version = known[-1]
        meta = result.get("_meta")
        info = meta.get(f"{_PREFIX}serverInfo") if isinstance(meta, dict) else None
        return self._is_open(info, result)

    def _greeted(self, id: RequestId, result: dict[str, Any]) -> Opened | Refused:
        version = result.get("protocolVersion")
        if version not in OLDER:
            message = f"The server speaks version {version!r} of MCP; known are {', '.join((*OLDER, *STATELESS))}"
            return Refused(id, _HANDSHAKE, McpError(UNSUPPORTED_VERSION, message))
        self._version = version
        found = self._is_open(result.get("serverInfo"), result)
        self._outgoing.append(self.notify("notifications/initialized"))
        return found

    def _is_open(self, info: object, result: dict[str, Any]) -> Opened:
        capabilities, instructions = result.get("capabilities"), result.get("instructions")
        self.opened = Opened(
            self._era,
            self._version,
            info if isinstance(info, dict) else {},
            capabilities if isinstance(capabilities, dict) else {},
            instructions if isinstance(instructions, str) else "",
        )
        return self.opened

    def _input_wanted(self, id: RequestId, request: _Open, result: dict[str, Any]) -> InputWanted | Refused:
        questions, state = result.get("inputRequests"), result.get("requestState")
        found: dict[str, dict[str, Any]] = questions if isinstance(questions, dict) else {}
        asked = {one.get("method") if isinstance(one, dict) else None for one in found.values()}
        if not asked <= self._answers:
            names = ", ".join(sorted(map(str, asked - self._answers)))
            message = f"The server wants input that nobody here gives: {names}"
            return Refused(id, request.method, McpError(MISSING_CAPABILITY, message, id=id))
        told = state if isinstance(state, str) else None
        return InputWanted(id, request.method, request.params, found, told, request.input_schema)

    def _asked(self, request: Request) -> Asked | None:
        if request.method in self._answers:
            return Asked(request.id, request.method, request.params)
        if request.method == "ping":
            body = result_bytes(request.id, {})
        else:
            body = error_bytes(request.id, McpError(METHOD_NOT_FOUND, f"Method not found: {request.method}"))
        self._outgoing.append(Outgoing(body, self._headers("", {})))
        return None

    # Headers and the handshake ---------------------------------------------------------------------------

    def _handshake(self) -> Outgoing:
        self._era, self._version = Era.OLDER, LATEST_OLDER
        asked = {"protocolVersion": LATEST_OLDER, "capabilities": self._capabilities, "clientInfo": self._info}
        return self.request(_HANDSHAKE, asked)

    def _common(self) -> dict[str, str]:
        """What every request has; the version of the older era from the time that it was agreed on."""
        found = {}
        if self._era is Era.STATELESS or self.opened is not None:
            found["mcp-protocol-version"] = self._version
        if self.session_id is not None:
            found["mcp-session-id"] = self.session_id
        return found

    def _headers(
        self, method: str, params: Mapping[str, Any], input_schema: dict[str, Any] | None = None
    ) -> dict[str, str]:
        found = {"content-type": "application/json", "accept": "application/json, text/event-stream", **self._common()}
        if self._era is Era.OLDER or not method:
            return found
        found["mcp-method"] = method
        name = params.get(NAME_OF.get(method, ""))
        if isinstance(name, str):
            found["mcp-name"] = encoded_value(name)
        if method == "tools/call" and input_schema is not None:
            arguments = params.get("arguments")
            found |= param_headers(input_schema, arguments if isinstance(arguments, dict) else {})
        return found


def _may_be_older(error: McpError) -> bool:
    """Whether an error says, or leaves open, that the server speaks versions of the older era."""
    if error.http_status in (401, 403, 407, 429) or error.http_status >= 500:
        return False
    if error.code != UNSUPPORTED_VERSION:
        return True
    supported = error.data.get("supported") if isinstance(error.data, dict) else None
    return not isinstance(supported, list) or any(version in OLDER for version in supported)
