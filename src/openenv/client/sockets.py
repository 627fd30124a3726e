"""What both clients tell the websockets library, and how they read its errors."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus, WebSocketException

from openenv.client.breaks import Break, Broken
from openenv.client.options import ClientOptions
from openenv.errors import AccessDenied, ConnectFailed, Forbidden, Unauthorized
from openenv.protocol import SUBPROTOCOLS

__all__ = [
    "CONNECT_ERRORS",
    "Silence",
    "broken",
    "closed_with",
    "connect_arguments",
    "connect_failed",
    "keep_alive",
    "timed_out",
]

CONNECT_ERRORS = (
    OSError,  # time-outs and failing certificates too
    WebSocketException,
    UnicodeError,  # a host name that no name server could know
    ImportError,  # a SOCKS proxy, for which websockets needs another package
)
"""All that ``connect`` raises for addresses, networks and servers that do not work."""

_BREAKS = {1001: Break.SERVER_STOPPED, 1009: Break.MESSAGE_TOO_LARGE, 1012: Break.SERVER_STOPPED}


def connect_arguments(options: ClientOptions, timeout_s: float | None = None) -> dict[str, Any]:
    """Arguments of ``connect`` that both I/O styles share; ``timeout_s`` if it is not that of the options."""
    arguments: dict[str, Any] = {
        "open_timeout": options.connect_timeout_s if timeout_s is None else timeout_s,
        "subprotocols": SUBPROTOCOLS,
        "compression": None,  # costs more time than it saves, above all for arrays
        "max_size": options.max_message_bytes,
        "ping_interval": None,  # a server may be busy for minutes; TCP keepalive tells whether it is gone
        "additional_headers": dict(options.headers),
    }
    if options.address.is_local:
        arguments["proxy"] = None
    return arguments


def connect_failed(options: ClientOptions, error: BaseException) -> ConnectFailed | AccessDenied:
    """Why there is no connection, and what to do about it."""
    address, why = options.address, _in_one_line(error)
    match error:
        case InvalidStatus() if error.response.status_code == 401:
            shown = any(name.lower() == "authorization" for name in options.headers)
            wanted = "pass token=..., or set OPENENV_TOKEN for a command"
            advice = "the token is not the orchestrator's" if shown else wanted
            return Unauthorized(f"{address.http} lets in only who shows a token; {advice}")
        case InvalidStatus() if (told := _forbidden(error.response.body)) is not None:
            return Forbidden(f"{address.http} does not let this client in: {told}")
        case InvalidStatus():
            status = error.response.status_code
            path = urlsplit(address.websocket).path
            why = f"the server answers HTTP {status} at the path {path}; is it an OpenEnv server, and is that its path?"
        case InvalidMessage():
            why = "what answers there is no OpenEnv server; check host and port, and whether it is http or https"
        case TimeoutError():
            why = f"no connection within {options.connect_timeout_s} s"
        case ConnectionRefusedError():
            why = "nothing listens there; start the server, or check host and port"
    return ConnectFailed(f"cannot connect to {address.websocket}: {why}")


def _forbidden(body: bytes | bytearray) -> str | None:
    """What an OpenEnv server says to whom it does not let in; other servers say nothing of that kind."""
    try:
        error = json.loads(body)["error"]
        return str(error["message"]) if error["code"] == Forbidden.code else None
    except (ValueError, TypeError, LookupError):
        return None


def keep_alive(connection: socket.socket | None) -> None:
    """Let the kernel find out, within about two minutes, that a silent peer is gone."""
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with suppress(OSError):  # it was closed meanwhile; whoever asks next is told
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, name):  # not every system has all three
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def broken(error: ConnectionClosed) -> Broken:
    """A connection's end, by the WebSocket close code of either side."""
    for close in (error.rcvd, error.sent):
        if close is not None and close.code in _BREAKS:
            return Broken(_BREAKS[close.code], _in_one_line(error))
    return Broken(Break.CONNECTION_LOST, _in_one_line(error))


def closed_with(code: int) -> Broken:
    """The end of a connection that broke while nobody waited."""
    return Broken(_BREAKS.get(code, Break.CONNECTION_LOST), f"the connection was closed (code {code})")


class Silence:
    """Tells a server that is busy from a connection that is dead, one look after each period without a message.

    Args:
        period_s: Seconds between the looks.
        signs: Bytes that have arrived so far, and bytes that wait to be sent. That there are more of the former, or
            fewer of the latter, is a sign of life.
    """

    def __init__(self, period_s: float, signs: Callable[[], tuple[int, int]]) -> None:
        self._period_s, self._signs = period_s, signs
        self._heard, self._unsent = signs()
        self._pinged = False

    def should_ping(self) -> bool:
        """Whether there was no sign since the last look, so that the server is to be asked for one.

        Raises:
            Broken: It was asked already.
        """
        heard, unsent = self._signs()
        is_alive = heard > self._heard or unsent < self._unsent
        self._heard, self._unsent = heard, unsent
        if is_alive:
            self._pinged = False
            return False
        if self._pinged:
            raise Broken(Break.CONNECTION_LOST, f"the server gave no sign of life for {2 * self._period_s:g} s")
        self._pinged = True
        return True


def timed_out(timeout_s: float | None) -> Broken:
    """No answer in time."""
    return Broken(Break.TIMEOUT, f"no answer within {timeout_s} s")


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
