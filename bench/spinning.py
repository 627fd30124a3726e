"""A WebSocket that spins: it asks the kernel for frames again and again instead of waiting for them.

A client that waits must be woken, and the kernel bills the waking to whoever wakes: the server would pay for it inside
its ``send``.
"""

from __future__ import annotations

import base64
import os
import socket
import time
from contextlib import suppress

__all__ = ["BINARY", "PATIENCE_S", "TEXT", "Message", "Spinning", "masked"]

PATIENCE_S = 60.0
"""Seconds without an answer after which a server counts as stuck."""

Message = bytes | bytearray

_CHUNK = 1 << 17
_LARGE = 1 << 16  # from here on a message is read into its own place
TEXT, BINARY = 1, 2
"""Kinds of messages."""
_CLOSE, _PING, _PONG = 8, 9, 10


class Spinning:
    """One connection. Messages of the server have to be one frame each.

    Args:
        port: Of the server on 127.0.0.1.
        subprotocol: What to ask for; the server has to agree.

    Attributes:
        socket: For selectors.

    Raises:
        ConnectionError: The server does not take it.
    """

    def __init__(self, port: int, subprotocol: str | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self._held = b""
        try:
            self._shake_hands(port, subprotocol)
        except BaseException:
            self.socket.close()
            raise

    def send(self, frame: bytes) -> None:
        """Send bytes as they are, such as what ``masked`` makes."""
        while frame:
            try:
                frame = frame[self.socket.send(frame) :]
            except BlockingIOError:  # the server has not read what came before
                continue

    def received(self) -> list[Message]:
        """The messages that are there by now, maybe none. Pings are answered.

        Raises:
            ConnectionError: The server closed, or sent what it should not.
        """
        held, at = self._held + self._read(), 0
        found: list[Message] = []
        while (head := _head(held, at)) is not None:
            kind, begin, size = head
            if begin + size <= len(held):
                payload: Message = held[begin : begin + size]
            elif size >= _LARGE:
                payload = self._rest(held[begin:], size)
            else:
                break
            at = min(begin + size, len(held))
            if kind in (TEXT, BINARY):
                found.append(payload)
            elif kind == _PING:
                self.send(masked(bytes(payload), _PONG))
            else:
                raise ConnectionError(f"the server sent frame {kind}: {bytes(payload[:200])!r}")
        self._held = held[at:]
        return found

    def next(self) -> Message:
        """The next message, where but one can come."""
        give_up_at = time.perf_counter() + PATIENCE_S
        while not (found := self.received()):
            _check(give_up_at)
        return found[0]

    def close(self) -> None:
        """Say goodbye and hang up."""
        with self.socket, suppress(OSError):  # a server that is gone needs no goodbye
            self.send(masked(b"\x03\xe8", _CLOSE))

    def _shake_hands(self, port: int, subprotocol: str | None) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        asked = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
        self.send(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{asked}\r\n".encode()
        )
        give_up_at = time.perf_counter() + PATIENCE_S
        while b"\r\n\r\n" not in self._held:
            self._held += self._read(give_up_at)
        answer, _, self._held = self._held.partition(b"\r\n\r\n")
        agreed = subprotocol is None or f": {subprotocol}\r\n".encode() in answer + b"\r\n"
        if not answer.startswith(b"HTTP/1.1 101") or not agreed:
            raise ConnectionError(f"no WebSocket: {answer[:300]!r}")

    def _read(self, give_up_at: float | None = None) -> bytes:
        """What is there; with a time, something, or an error then."""
        while True:
            try:
                chunk = self.socket.recv(_CHUNK)
            except BlockingIOError:
                if give_up_at is None:
                    return b""
                _check(give_up_at)
                continue
            if not chunk:
                raise ConnectionError("the server closed the connection")
            return chunk

    def _rest(self, begun: bytes, size: int) -> bytearray:
        """A message of which a part has come, whole."""
        message, at = bytearray(size), len(begun)
        message[:at] = begun
        give_up_at = time.perf_counter() + PATIENCE_S
        with memoryview(message) as view:
            while at < size:
                try:
                    count = self.socket.recv_into(view[at:])
                except BlockingIOError:
                    _check(give_up_at)
                    continue
                if not count:
                    raise ConnectionError("the server closed the connection")
                at += count
        return message


def masked(payload: bytes, kind: int = TEXT) -> bytes:
    """A frame from a client: masked, as it must be, with a mask of zeros, which leaves the payload as it is."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | kind, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x80 | kind, 0x80 | 126)) + size.to_bytes(2)
    else:
        head = bytes((0x80 | kind, 0x80 | 127)) + size.to_bytes(8)
    return head + b"\0\0\0\0" + payload


def _head(held: bytes, at: int) -> tuple[int, int, int] | None:
    """Kind, begin of the payload and its size of the frame at ``at``, if its head is there."""
    there = len(held) - at
    if there < 2:
        return None
    size, begin = held[at + 1], at + 2
    if size >= 126:
        begin += 2 if size == 126 else 8
        if len(held) < begin:
            return None
        size = int.from_bytes(held[at + 2 : begin])
    return (held[at] & 0x0F if held[at] & 0x80 else -1), begin, size


def _check(give_up_at: float) -> None:
    if time.perf_counter() > give_up_at:
        raise ConnectionError(f"the server has not answered for {PATIENCE_S:g} s")
