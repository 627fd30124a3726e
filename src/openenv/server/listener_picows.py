"""One WebSocket connection over picows: messages in, answers out, within the callback that brings the bytes."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSProtocolError,
    WSTransport,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined] # left out of its stub

from openenv.server.carrier import Frame
from openenv.server.conveyor import Conveyor
from openenv.server.listener_handshake import Handshake
from openenv.server.listener_pings import Pings
from openenv.server.websocket import WebSocketEndpoint

__all__ = ["opened"]

_TEXT, _BINARY, _CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
_CLOSE, _PONG = WSMsgType.CLOSE, WSMsgType.PONG
_NOT_TO_BE_SENT = {0, 1006, *range(5000, 1 << 16)}  # of the codes of a close that picows lets through
_CLOSE_TIMEOUT_S = 10.0
_BUFFER_BYTES = 4096  # to begin with; it doubles when it is full

log = logging.getLogger("openenv.server")


def opened(
    endpoint: WebSocketEndpoint,
    handshake: Handshake,
    transport: asyncio.Transport,
    config: Any,
    server_state: Any,
    pings: Pings,
) -> asyncio.BufferedProtocol:
    """The protocol for a connection whose handshake is to be accepted; it has yet to be fed that.

    Args:
        endpoint: Whose connection it is.
        handshake: What the client asked for.
        transport: The connection.
        config: uvicorn's; it says how large a message may be.
        server_state: uvicorn's; it says what headers each answer has, and keeps what has to end before the server.
        pings: Pings the connection.
    """
    scope = handshake.scope(transport)
    line = _Line(server_state, pings, config.ws_max_size)
    line.carrier, subprotocol = endpoint.carrier(scope, line.put, line.hang_up)
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in server_state.default_headers]
    if subprotocol is not None:
        headers.append(("Sec-WebSocket-Protocol", subprotocol))
    accepted = WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(headers), line)
    protocol: asyncio.BufferedProtocol = WSProtocol(
        None,  # host: of clients
        None,  # path: of clients
        False,  # is a client
        lambda _: accepted,
        _Log(),
        True,  # ends a connection whose handler raises
        None,  # seconds to wait for the handshake: it is here
        False,  # pings by itself, with a deadline for each answer
        None,
        None,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        True,  # answers pings
        config.ws_max_size,
        None,  # headers: of clients
        _BUFFER_BYTES,
    )
    protocol.connection_made(transport)
    log.info('%s - "WebSocket %s" [accepted]', scope["client"], handshake.path)
    return protocol


class _Line(WSListener):
    """Hands messages over in order, one after the other where that has to be waited for.

    Attributes:
        carrier: Takes the messages; set before the connection opens.
    """

    def __init__(self, server_state: Any, pings: Pings, max_bytes: int) -> None:
        self.carrier: Conveyor
        self._take: Callable[[Frame], Awaitable[None] | None]
        self._server_state, self._pings, self._max_bytes = server_state, pings, max_bytes
        self._transport: WSTransport
        self._loop = asyncio.get_running_loop()
        self._over = False  # nothing that comes counts any more
        self._turn: asyncio.Task[None] | None = None  # what has to end before the next message
        self._held: deque[Frame] = deque()
        self._holds_back = False  # reading
        self._clogged: asyncio.Event | None = None  # set once the client reads again
        self._pieces = bytearray()  # of a message that comes so, of this kind
        self._pieces_kind: WSMsgType | None = None
        self._closing: asyncio.TimerHandle | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake has been answered."""
        self._transport, self._take = transport, self.carrier.take
        self._server_state.connections.add(self)
        self._pings.add(self, self.ping)
        self._in_turn(self._greet())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One frame has come whole."""
        kind = frame.msg_type
        message: Frame | None
        if frame.fin and kind is _TEXT and self._pieces_kind is None and not (frame.rsv1 or frame.rsv2 or frame.rsv3):
            try:
                message = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                raise WSProtocolError(WSCloseCode.INVALID_TEXT, "text that is not UTF-8") from None
        else:
            message = self._assembled(kind, frame)
        if message is None or self._over or transport.is_close_frame_sent:
            return
        if self._turn is not None:
            self._hold(message)
        elif self._clogged is not None:
            self._hold(message)
            self._in_turn(self._clogged.wait())
        elif (waits := self._take(message)) is not None:
            self._in_turn(waits)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection has ended, however it did."""
        self._server_state.connections.discard(self)
        self._pings.discard(self)
        self._over = True
        if self._closing is not None:
            self._closing.cancel()
        self.resume_writing()
        leaving = self._loop.create_task(self._leave())
        self._server_state.tasks.add(leaving)
        leaving.add_done_callback(self._server_state.tasks.discard)

    def pause_writing(self) -> None:
        """The client does not read what was put."""
        self._clogged = asyncio.Event()

    def resume_writing(self) -> None:
        """It has read most of it."""
        if self._clogged is not None:
            self._clogged.set()
            self._clogged = None

    def put(self, frame: Frame) -> Awaitable[Any] | None:
        """Send a message, unless the connection is over; waits where the client does not read."""
        if self._over:
            return None
        self._transport.send(_TEXT if isinstance(frame, str) else _BINARY, frame)
        return None if self._clogged is None else self._clogged.wait()

    def hang_up(self) -> None:
        """Close in good order, and take nothing more."""
        if self._transport.is_disconnected or self._over:
            return
        self._over = True
        self._held.clear()
        self._transport.send_close(WSCloseCode.OK)
        self._closing = self._loop.call_later(_CLOSE_TIMEOUT_S, self._transport.disconnect)

    def shutdown(self) -> None:
        """The server ends."""
        if not self._over:
            self._over = True
            self._transport.send_close(WSCloseCode.SERVICE_RESTART)
        self._transport.disconnect()

    def ping(self) -> None:
        """Let whoever is in between see that the connection is used."""
        if self._clogged is None and not self._over:
            self._transport.send_ping()

    def _assembled(self, kind: WSMsgType, frame: WSFrame) -> Frame | None:
        """What a frame completes, if it completes a message."""
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "reserved bits are set")
        if kind is _CLOSE:
            self._closed(frame.get_payload_as_bytes())
            return None
        if kind is _PONG:
            return None
        is_first = kind is not _CONTINUATION
        if is_first is not (self._pieces_kind is None):
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "this piece of a message does not follow the one before")
        if is_first and frame.fin:
            return frame.get_payload_as_bytes()
        if len(self._pieces) + frame.payload_size > self._max_bytes:
            raise WSProtocolError(WSCloseCode.MESSAGE_TOO_BIG, f"over {self._max_bytes} bytes")
        self._pieces += frame.get_payload_as_memoryview()
        if is_first:
            self._pieces_kind = kind
        if not frame.fin:
            return None
        whole, self._pieces, of_kind, self._pieces_kind = bytes(self._pieces), bytearray(), self._pieces_kind, None
        return whole if of_kind is _BINARY else _text(whole)

    def _closed(self, payload: bytes) -> None:
        """The client closes, or answers that we do."""
        if self._closing is not None:
            self._closing.cancel()
        elif not self._over:
            code = int.from_bytes(payload[:2], "big")
            if payload and code in _NOT_TO_BE_SENT:
                raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, f"close code {code}")
            self._transport.send(_CLOSE, payload)
        self._over = True
        self._transport.disconnect()

    def _hold(self, message: Frame) -> None:
        self._held.append(message)
        reads = self._transport.underlying_transport
        if not self._holds_back and not reads.is_closing():
            self._holds_back = True
            reads.pause_reading()

    def _in_turn(self, waits: Awaitable[Any]) -> None:
        self._turn = self._loop.create_task(self._have_turn(waits))

    async def _have_turn(self, waits: Awaitable[Any] | None) -> None:
        """Wait, then take what came meanwhile."""
        try:
            while True:
                if waits is not None:
                    await waits
                if self._clogged is not None:
                    waits = self._clogged.wait()
                elif self._held:
                    waits = self._take(self._held.popleft())
                else:
                    return
        except Exception:  # whatever it is, the client must not wait for it
            log.exception("a connection failed")
            self._over = True
            self._transport.send_close(WSCloseCode.INTERNAL_ERROR)
            self._transport.disconnect()
        finally:
            self._turn = None
            if self._holds_back:
                self._holds_back = False
                if not self._transport.is_disconnected:
                    self._transport.underlying_transport.resume_reading()

    async def _greet(self) -> None:
        await self.carrier.greet()

    async def _leave(self) -> None:
        try:
            if self._turn is not None:  # what was sent before the end is done before the end
                await self._turn
        finally:
            await self.carrier.leave()


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise WSProtocolError(WSCloseCode.INVALID_TEXT, "text that is not UTF-8") from None


class _Log:
    """What picows logs, as this library does: what clients do wrong is no error of the server."""

    def isEnabledFor(self, level: int) -> bool:
        return False

    def debug(self, *_: Any) -> None:
        """Nothing that matters."""

    log = info = warning = debug

    def error(self, message: str, *values: Any) -> None:
        log.info(message, *values)

    def exception(self, message: str, *values: Any) -> None:
        log.exception(message, *values)
