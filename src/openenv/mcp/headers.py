"""What the headers of an MCP request over HTTP say, and whether they may stand there."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from openenv.mcp.messages import HEADER_MISMATCH, INVALID_REQUEST, McpError, Message, Notification, Request
from openenv.mcp.param_headers import decoded_value
from openenv.mcp.versions import OLDER, STATELESS, Era

__all__ = [
    "NAME_OF",
    "PROTOCOL_VERSION_KEY",
    "PostHeaders",
    "check_media",
    "check_older_version",
    "check_routing",
    "era_of",
]

PROTOCOL_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
NAME_OF = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""The parameter that ``Mcp-Name`` repeats, of each method that has one."""

_ROUTING = {b"mcp-protocol-version": "MCP-Protocol-Version", b"mcp-method": "Mcp-Method", b"mcp-name": "Mcp-Name"}
_SINGLE = {
    b"content-type": "content_type",
    b"mcp-protocol-version": "version",
    b"mcp-method": "method",
    b"mcp-name": "name",
    b"mcp-session-id": "session_id",
    b"last-event-id": "last_event_id",
}
_PARAM = b"mcp-param-"


class PostHeaders(Struct, frozen=True):
    """The headers that MCP gives a meaning; ``None`` where one is not there.

    Attributes:
        accept: The media types of all ``Accept`` headers, lower case, without parameters; empty if there is none.
        params: The values of ``Mcp-Param-*``, by the rest of the name in lower case.
        repeated: Names of headers that stand there more than once and may not.
    """

    content_type: str | None = None
    accept: tuple[str, ...] = ()
    version: str | None = None
    method: str | None = None
    name: str | None = None
    session_id: str | None = None
    last_event_id: str | None = None
    params: dict[str, str] = {}
    repeated: tuple[str, ...] = ()

    @classmethod
    def read(cls, pairs: Iterable[tuple[bytes, bytes]]) -> PostHeaders:
        """From the pairs of an ASGI scope; the case of the names does not matter."""
        found: dict[str, str] = {}
        params: dict[str, str] = {}
        accept: list[str] = []
        repeated: list[str] = []
        for raw_name, raw_value in pairs:
            name, value = raw_name.lower(), raw_value.decode("latin-1").strip(" \t")
            if name == b"accept":
                accept += [kind.partition(";")[0].strip().lower() for kind in value.split(",")]
            elif (field := _SINGLE.get(name)) is not None:
                if field in found and name in _ROUTING:
                    repeated.append(_ROUTING[name])
                found[field] = value
            elif name.startswith(_PARAM):
                token = name[len(_PARAM) :].decode("latin-1")
                if token in params:
                    repeated.append(f"Mcp-Param-{token}")
                params[token] = value
        return cls(**found, accept=tuple(filter(None, accept)), params=params, repeated=tuple(repeated))

    @property
    def takes_json(self) -> bool:
        """Whether an answer may be JSON; whoever says nothing takes everything."""
        return not self.accept or not {"application/json", "application/*", "*/*"}.isdisjoint(self.accept)

    @property
    def takes_events(self) -> bool:
        """Whether an answer may be a stream of events."""
        return not self.accept or not {"text/event-stream", "text/*", "*/*"}.isdisjoint(self.accept)


def check_media(headers: PostHeaders) -> None:
    """Whether a POST sends JSON and takes an answer.

    Raises:
        McpError: It does not (415 or 406).
    """
    kind = (headers.content_type or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise McpError(INVALID_REQUEST, "Content-Type must be application/json", http_status=415)
    if not headers.takes_json and not headers.takes_events:
        said = "Accept must allow application/json and text/event-stream"
        raise McpError(INVALID_REQUEST, said, http_status=406)


def era_of(headers: PostHeaders | None, message: Message) -> Era:
    """Which era a message belongs to: the older one, unless its header or its ``_meta`` says another version.

    A version that nobody knows counts as stateless, because that era has an answer for it; but an ``initialize`` with
    one is older, where it is negotiated.
    """
    told = headers.version if headers is not None else None
    meta = message.params.get("_meta") if isinstance(message, (Request, Notification)) else None
    if isinstance(meta, dict) and PROTOCOL_VERSION_KEY in meta:
        return Era.STATELESS
    if told is None or told in OLDER:
        return Era.OLDER
    if told not in STATELESS and isinstance(message, Request) and message.method == "initialize":
        return Era.OLDER
    return Era.STATELESS


def check_older_version(headers: PostHeaders) -> None:
    """Whether the version that a request of the older era names is one of that era; it need not name one.

    Raises:
        McpError: It is not (-32600, status 400).
    """
    if headers.version is not None and headers.version not in OLDER:
        known = ", ".join(OLDER)
        raise McpError(INVALID_REQUEST, f"Unsupported MCP-Protocol-Version: {headers.version!r}; known are {known}")


def check_routing(headers: PostHeaders, request: Request, version: object) -> None:
    """Whether the headers of a stateless request repeat what its body says.

    Args:
        headers: What was sent beside it.
        request: The request.
        version: The version in its ``_meta``.

    Raises:
        McpError: They do not, or one of them is missing or stands there twice (-32020, status 400).
    """
    for name in headers.repeated:
        raise _mismatch(f"{name} header appears more than once", request)
    if headers.version is None or headers.version != version:
        raise _mismatch("MCP-Protocol-Version header does not match the version in _meta", request)
    if headers.method != request.method:
        raise _mismatch("Mcp-Method header does not match the method of the body", request)
    key = NAME_OF.get(request.method)
    wanted = request.params.get(key) if key is not None else None
    if wanted is not None and (headers.name is None or decoded_value(headers.name) != wanted):
        raise _mismatch(f"Mcp-Name header does not match '{key}' of the body", request)


def _mismatch(message: str, request: Request) -> McpError:
    return McpError(HEADER_MISMATCH, message, id=request.id)
