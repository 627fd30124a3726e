"""A shorter way for WebSockets under uvicorn: the connections of one endpoint go round the ASGI interface."""

from __future__ import annotations

import asyncio
import logging
import socket
from importlib.util import find_spec
from typing import Any, cast

from openenv.server.listener_handshake import Handshake, read_handshake
from openenv.server.listener_pings import Pings
from openenv.server.websocket import WebSocketEndpoint

__all__ = ["Listener", "listener_for"]

log = logging.getLogger("openenv.server")


def listener_for(app: Any) -> Listener | None:
    """What ``uvicorn.Config(ws=...)`` takes to carry an application's own WebSockets past ASGI.

    ``None`` where that cannot be, or would leave something out: picows is not installed; the application is not one
    of ours, or has middleware, or another route for the path.
    """
    endpoint = getattr(getattr(app, "state", None), "sockets", None)
    if not isinstance(endpoint, WebSocketEndpoint) or not _is_outermost(app, endpoint) or find_spec("picows") is None:
        return None
    return Listener(endpoint)


def _is_outermost(app: Any, endpoint: WebSocketEndpoint) -> bool:
    """Whether nothing that the application does stands before its endpoint."""
    held = vars(app)  # looking for an attribute might make a FastAPI of it
    if endpoint.app is not app or held.get("user_middleware"):
        return False
    routes = getattr(held.get("router"), "routes", None)
    if routes is None:  # no FastAPI: nobody could have added any
        return True
    from starlette.routing import Match

    scope = {"type": "websocket", "path": endpoint.path, "root_path": "", "headers": []}
    found = next((route for route in routes if route.matches(scope)[0] is Match.FULL), None)
    return getattr(found, "app", None) is endpoint


class Listener:
    """Makes what uvicorn wants for each WebSocket.

    Connections for the endpoint are carried by picows; other paths, and handshakes with any flaw, are left to
    uvicorn's own protocol.

    Args:
        endpoint: Whose connections are carried.
    """

    def __init__(self, endpoint: WebSocketEndpoint) -> None:
        self._endpoint = endpoint
        self._pings: Pings | None = None
        self._is_able = True

    def __call__(self, config: Any, server_state: Any, app_state: Any, _loop: object = None) -> asyncio.Protocol:
        """What uvicorn gives a connection and its handshake; the arguments are uvicorn's."""
        return _Door(self, config, server_state, app_state)

    def accepted(self, handshake: Handshake, transport: asyncio.Transport, config: Any, server_state: Any) -> Any:
        """The protocol that is to be fed the plain handshake; ``None`` if it is not for this listener."""
        over_tcp = transport.get_extra_info("socket").family in (socket.AF_INET, socket.AF_INET6)  # picows wants that
        if handshake.path != self._endpoint.path or not over_tcp or not self._is_able:
            return None
        if self._endpoint.refused(handshake.scope(transport)) is not None:
            return None  # with an answer of HTTP, which uvicorn's own can give
        if self._pings is None:
            self._pings = Pings(config.ws_ping_interval)
        try:
            from openenv.server.listener_picows import opened  # here: its import would delay the start of every server

            return opened(self._endpoint, handshake, transport, config, server_state, self._pings)
        except (AttributeError, ImportError, TypeError) as error:  # another picows than the one that is known here
            log.warning("WebSockets are carried the slower way, since picows cannot: %s", error)
            self._is_able = False
            return None


class _Door(asyncio.Protocol):
    """Stands where uvicorn puts its WebSocket protocol, until the handshake says who is to carry the connection."""

    def __init__(self, listener: Listener, config: Any, server_state: Any, app_state: Any) -> None:
        self._listener, self._config, self._server_state, self._app_state = listener, config, server_state, app_state
        self._transport: asyncio.Transport
        self._heir: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """uvicorn gives the connection away."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """The handshake, whole; and whatever comes before the heir stands here itself."""
        if self._heir is not None:
            _feed(self._heir, data)
            return
        handshake = read_handshake(data)
        if handshake is not None:
            self._heir = self._listener.accepted(handshake, self._transport, self._config, self._server_state)
        if handshake is not None and self._heir is not None:
            _feed(self._heir, handshake.plainly())
        else:
            self._heir = self._uvicorns()
            self._heir.connection_made(self._transport)
            self._heir.data_received(data)
        # uvicorn puts this object into place when we return
        asyncio.get_running_loop().call_soon(self._transport.set_protocol, self._heir)

    def eof_received(self) -> bool | None:
        """As the heir has it."""
        return self._heir.eof_received() if self._heir is not None else None

    def pause_writing(self) -> None:
        """As the heir has it."""
        self._heir.pause_writing()

    def resume_writing(self) -> None:
        """As the heir has it."""
        self._heir.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """As the heir has it."""
        if self._heir is not None:
            self._heir.connection_lost(exc)

    def _uvicorns(self) -> Any:
        from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol

        assert AutoWebSocketsProtocol is not None  # the client needs what it needs
        return AutoWebSocketsProtocol(config=self._config, server_state=self._server_state, app_state=self._app_state)


def _feed(protocol: Any, data: bytes) -> None:
    """Give bytes to a protocol that may rather have read them itself."""
    if not isinstance(protocol, asyncio.BufferedProtocol):
        protocol.data_received(data)
        return
    rest = memoryview(data)
    while rest:
        room = memoryview(protocol.get_buffer(len(rest)))
        taken = min(len(room), len(rest))
        room[:taken] = rest[:taken]
        protocol.buffer_updated(taken)
        rest = rest[taken:]
