"""The client's end of one WebSocket, without I/O: what arrives as messages, messages as what is to be sent."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping

from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import CLOSED, CONNECTING, OPEN

try:
    from websockets.speedups import apply_mask
except ImportError:  # it was built without a compiler
    from websockets.utils import apply_mask

__all__ = ["WebSocket"]

_ROOM_BYTES = 64 * 1024
_TEXT, _BINARY = 0x81, 0x82  # heads of frames that are whole messages
_MASKED = 0x80


class WebSocket:
    """Reads and writes whole, unfragmented messages itself; the websockets library does all the rest.

    What arrives is to be read into ``room()`` and noted with ``filled``.

    Args:
        protocol: The library's end, before the handshake.
        max_message_bytes: Largest message taken.

    Attributes:
        messages: What has arrived and nobody has taken.
        heard_bytes: How many bytes have arrived.
        unsent: What is to be sent besides messages: a request for the handshake, pings and pongs, goodbyes.
    """

    def __init__(self, protocol: ClientProtocol, max_message_bytes: int) -> None:
        self._protocol, self._limit = protocol, max_message_bytes
        self.messages: deque[str | bytes] = deque()
        self.heard_bytes = 0
        self.unsent = b""
        self._data = bytearray(_ROOM_BYTES)
        self._all = memoryview(self._data)
        self._kept = 0  # bytes at the beginning of it that are no whole frame yet
        self._large: memoryview | None = None  # the body of a frame for which there is too little room
        self._large_is_text = False
        self._got = 0  # bytes of it that are there
        self._foreign = 0  # bytes of a frame of the library's that are still to come
        self._pieces: list[bytes] | None = None  # of a message in fragments
        self._is_text = False
        self._is_answered = self._is_open = False
        self._is_between = False  # frames, with nothing half read

    # Beginning and end ---------------------------------------------------------------------------

    def greet(self, headers: Mapping[str, str] | None, user_agent: str | None) -> None:
        """Ask for the connection."""
        request = self._protocol.connect()
        request.headers.update(headers or {})
        if user_agent is not None:
            request.headers.setdefault("User-Agent", user_agent)
        self._protocol.send_request(request)
        self._write()

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._is_open

    @property
    def is_decided(self) -> bool:
        """Whether the server has answered the handshake; ``refused`` says how."""
        return self._protocol.state is not CONNECTING or self._protocol.handshake_exc is not None

    @property
    def refused(self) -> Exception | None:
        """Why the handshake failed."""
        return self._protocol.handshake_exc

    @property
    def subprotocol(self) -> str | None:
        """What the server chose."""
        return self._protocol.subprotocol

    @property
    def close_code(self) -> int | None:
        """The code of the connection's end; ``None`` while it lasts."""
        return self._protocol.close_code

    @property
    def end(self) -> ConnectionClosed:
        """How the connection ended, which is not open any more."""
        if self._protocol.state is not CLOSED:  # the goodbye came with the answer to the handshake
            self.ended()
        return self._protocol.close_exc

    def part(self) -> None:
        """Say goodbye."""
        if self._is_open:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            self._write()
            self._is_open = self._is_between = False

    def ended(self) -> None:
        """Note that nothing more arrives, or that nobody waits for it."""
        if self._protocol.state is not CLOSED:
            self._feed(self._all[: self._kept])
            self._kept = 0
            self._protocol.receive_eof()
        self._is_open = self._is_between = False

    # What is sent --------------------------------------------------------------------------------

    def packed(self, message: str | bytes) -> bytes:
        """A message as it is to be sent; only while the connection is open."""
        if isinstance(message, str):
            head, body = _TEXT, message.encode()
        else:
            head, body = _BINARY, message
        size, mask = len(body), os.urandom(4)
        if size < 126:
            return b"%c%c%b%b" % (head, _MASKED | size, mask, apply_mask(body, mask))
        if size < 65536:
            return b"%c\xfe%b%b%b" % (head, size.to_bytes(2), mask, apply_mask(body, mask))
        return b"".join((bytes((head, 0xFF)), size.to_bytes(8), mask, apply_mask(body, mask)))

    def ping(self) -> None:
        """Ask for a sign of life."""
        if self._is_open:
            self._protocol.send_ping(b"")
            self._write()

    def take_unsent(self) -> bytes:
        """``unsent``, which is empty afterwards."""
        unsent, self.unsent = self.unsent, b""
        return unsent

    # What arrives --------------------------------------------------------------------------------

    def room(self) -> memoryview:
        """Where the next bytes belong."""
        if self._large is not None:
            return self._large[self._got :]
        return self._all[self._kept :] if self._kept else self._all

    def filled(self, count: int) -> None:
        """Take in the first bytes of what ``room`` gave."""
        self.heard_bytes += count
        if self._is_between:  # and what came is one whole message: what nearly always is
            data = self._data
            head, size, body = data[0], data[1], 2
            if size == 126:
                size, body = data[2] << 8 | data[3], 4
            elif size > 126:
                size = count  # too large to fit
            if body + size == count and size <= self._limit:
                if head == _BINARY:
                    self.messages.append(bytes(self._all[body:count]))
                    return
                if head == _TEXT:
                    self._append(self._all[body:count], is_text=True)
                    return
        self._take_in(count)
        is_amid = self._kept or self._foreign or self._pieces is not None or self._large is not None
        self._is_between = self._is_open and not is_amid

    def _take_in(self, count: int) -> None:
        if self._large is not None:
            self._got += count
            if self._got == len(self._large):
                whole, self._large = self._large, None
                self._append(whole, is_text=self._large_is_text)
            return
        at, end = 0, self._kept + count
        if not self._is_answered:
            at = self._answer(end)
        while at < end and (after := self._frame(at, end)) > at:
            at = after
        self._kept = end - at
        if at and self._kept:
            self._data[: self._kept] = self._data[at:end]

    def _answer(self, end: int) -> int:
        """Give the library the head of the answer to the handshake, once it is there; where what follows begins."""
        head = self._data.find(b"\r\n\r\n", 0, end) + 4
        if head == 3 and end < _ROOM_BYTES:
            return 0
        self._is_answered = True
        stop = head if head > 3 else end
        self._feed(self._all[:stop])
        return stop

    def _frame(self, at: int, end: int) -> int:
        """Take what begins there; where the next begins, or the same place if it is not complete."""
        if not self._is_open:
            if self._is_answered:
                self._feed(self._all[at:end])
            return end if self._is_answered else at
        if self._foreign:
            stop = min(end, at + self._foreign)
            self._foreign -= stop - at
            self._feed(self._all[at:stop])
            return stop
        if end - at < 2:
            return at
        data = self._data
        head, size, body = data[at], data[at + 1] & ~_MASKED, at + 2
        if size > 125:
            body += 2 if size == 126 else 8
            if end < body:
                return at
            size = int.from_bytes(data[at + 2 : body])
        if head not in (_TEXT, _BINARY) or data[at + 1] & _MASKED or self._pieces is not None or size > self._limit:
            self._foreign = body + size - at
            return self._frame(at, end)
        if body + size <= end:
            self._append(self._all[body : body + size], is_text=head == _TEXT)
            return body + size
        if body + size - at > len(data):
            self._large, self._large_is_text = memoryview(bytearray(size)), head == _TEXT
            self._got = end - body
            self._large[: self._got] = data[body:end]
            return end
        return at

    def _append(self, body: memoryview | bytes, *, is_text: bool) -> None:
        try:
            self.messages.append(str(body, "utf-8") if is_text else bytes(body))
        except UnicodeDecodeError as error:
            self._protocol.fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
            self._write()
            self._is_open = self._is_between = False

    def _feed(self, data: memoryview) -> None:
        """Have the library read it."""
        if self._protocol.state is CLOSED or not data:
            return
        self._protocol.receive_data(bytes(data))
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._note(event)
        self._write()
        self._is_open = self._protocol.state is OPEN

    def _write(self) -> None:
        """Fetch what the library wants to send. That it would half-close is passed over: whoever hangs up closes."""
        self.unsent += b"".join(self._protocol.data_to_send())

    def _note(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._pieces, self._is_text = [], frame.opcode is Opcode.TEXT
        elif frame.opcode is not Opcode.CONT:
            return
        assert self._pieces is not None
        self._pieces.append(bytes(frame.data))
        if frame.fin:
            whole, self._pieces = b"".join(self._pieces), None
            self._append(whole, is_text=self._is_text)
