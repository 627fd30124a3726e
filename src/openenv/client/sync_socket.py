"""One WebSocket to a server, blocking: no thread reads it, no event loop is hidden behind it."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

from websockets.client import ClientProtocol
from websockets.sync.client import connect

from openenv.client.attendant import attend, leave
from openenv.client.breaks import Break, Broken, hung_up
from openenv.client.moves import Ask
from openenv.client.options import ClientOptions
from openenv.client.sockets import (
    CONNECT_ERRORS,
    Silence,
    broken,
    closed_with,
    connect_arguments,
    connect_failed,
    keep_alive,
    timed_out,
)
from openenv.client.spinning import Spin, give_way
from openenv.client.websocket import WebSocket
from openenv.protocol import Reply

__all__ = ["SyncSocket"]

_PONG_S = 1.0
"""Seconds in which a pong leaves, or the connection is stuck."""


class _Connecting:
    """What the websockets library makes and calls while it connects, through proxies and redirects too."""

    def __init__(self, connected: socket.socket, protocol: ClientProtocol, max_message_bytes: int) -> None:
        self.socket, self.web = connected, WebSocket(protocol, max_message_bytes)

    def handshake(self, headers: Mapping[str, str] | None, user_agent: str | None, timeout: float | None) -> None:
        over_at = None if timeout is None else monotonic() + timeout
        self.web.greet(headers, user_agent)
        self._limit(over_at)
        self.socket.sendall(self.web.take_unsent())
        while not self.web.is_decided:
            self._limit(over_at)
            try:
                count = self.socket.recv_into(self.web.room())
            except ConnectionError:
                count = 0
            if count:
                self.web.filled(count)
            else:
                self.web.ended()
        if self.web.refused is not None:
            raise self.web.refused

    def _limit(self, over_at: float | None) -> None:
        self.socket.settimeout(None if over_at is None else max(0.001, over_at - monotonic()))

    def start_keepalive(self) -> None:
        """Not needed: ``attendant`` answers the server's pings, and calls that wait send their own."""

    def close_socket(self) -> None:
        self.socket.close()

    @property
    def recv_events_thread(self) -> _Connecting:
        """The library would wait for the end of a thread; there is none."""
        return self

    def join(self) -> None:
        pass


class SyncSocket:
    """A connection. ``SyncSocket.connect`` makes one."""

    def __init__(self, connected: socket.socket, web: WebSocket) -> None:
        connected.settimeout(0)
        self._socket, self._web = connected, web
        self._is_tls = isinstance(connected, ssl.SSLSocket)
        self._readable, self._writable = _poll(connected, to_write=False), _poll(connected, to_write=True)
        self._spin = Spin()
        self._use = threading.Lock()  # one reads and writes at a time: a call, or the attendant
        self._is_amid = False  # was interrupted while it read or wrote: what follows would not be understood
        self._is_parting = self._is_aborted = False

    @staticmethod
    def connect(options: ClientOptions, timeout_s: float) -> SyncSocket:
        """Connect; raises ``ConnectFailed``."""
        made: list[_Connecting] = []

        def make(connected: socket.socket, protocol: ClientProtocol, **_: Any) -> _Connecting:
            made.append(_Connecting(connected, protocol, options.max_message_bytes))
            return made[-1]

        arguments = connect_arguments(options, timeout_s) | {"create_connection": make}
        try:
            connect(options.address.websocket, **arguments)
        except CONNECT_ERRORS as error:
            raise connect_failed(options, error) from error
        keep_alive(made[-1].socket)
        connection = SyncSocket(made[-1].socket, made[-1].web)
        attend(connection)
        return connection

    def __del__(self) -> None:
        # of a client that was forgotten: the server keeps its session for the lease, as after any break
        with suppress(AttributeError, OSError):  # it may not have come to be
            self._socket.close()

    @property
    def subprotocol(self) -> str | None:
        """What the server chose."""
        return self._web.subprotocol

    @property
    def ended(self) -> Broken | None:
        """How it ended, if it is known to be gone."""
        self.look()
        code = self._web.close_code
        return None if code is None else closed_with(code)

    def ask(self, move: Ask) -> Reply:
        """Send the frame, if there is one, and wait for the answer; see ``Ask``."""
        try:
            with self._use:
                return self._ask(move)
        finally:
            self._used()

    def _ask(self, move: Ask) -> Reply:
        over_at = None if move.timeout_s is None else monotonic() + move.timeout_s
        web, take, silence = self._web, move.take, None
        messages = web.messages
        if move.frame is not None and web.is_open:  # if not, what the server said before it left is still to be read
            self._send_in_time(web.packed(move.frame), move, over_at)
        while True:
            while messages:
                reply = take(messages.popleft())
                if reply is not None:
                    return reply
            if not web.is_open:
                raise hung_up() if self._is_aborted else broken(web.end)
            if self._receive(over_at, move.silence_s):
                continue
            if over_at is not None and monotonic() >= over_at:
                raise timed_out(move.timeout_s)
            if move.silence_s is not None:
                silence = silence or Silence(move.silence_s, lambda: (web.heard_bytes, 0))
                if silence.should_ping():
                    web.ping()
                    self._send_in_time(web.take_unsent(), move, over_at)

    def tell(self, frame: str | bytes, timeout_s: float) -> bool:
        """Send a frame that nobody waits to see answered; whether the connection took it in time."""
        try:
            with self._use:
                return (
                    not self._is_amid
                    and self._web.is_open
                    and self._send(self._web.packed(frame), monotonic() + timeout_s, None)
                    and not self._is_amid
                )
        finally:
            self._used()

    def look(self, *, only_if_idle: bool = False) -> None:
        """Take in what came while nobody waited, and answer pings; does not wait.

        Args:
            only_if_idle: Leave that to the call that waits, if one does.
        """
        if not self._use.acquire(blocking=not only_if_idle):
            return
        try:
            while self._web.is_open and not (self._is_amid or self._is_aborted) and self._take_in():
                pass
        finally:
            self._use.release()
            self._used()

    def close(self, timeout_s: float) -> None:
        """Say goodbye."""
        over_at = monotonic() + timeout_s
        try:
            with self._use:
                if self._is_amid or not self._web.is_open:
                    return
                self._is_parting = True
                self._web.part()
                if self._send(self._web.take_unsent(), over_at, None):
                    while self._web.close_code is None and self._receive(over_at, None):
                        pass
        finally:
            self._used()

    def abort(self) -> None:
        """Hang up at once. A call that waits in another thread wakes, and closes what it uses."""
        leave(self)
        self._is_aborted = True
        with suppress(OSError):  # it is closed already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._used()

    def _used(self) -> None:
        """Close the connection if it was aborted and nobody uses it; whoever does comes here afterwards."""
        if self._is_aborted and self._use.acquire(blocking=False):
            self._socket.close()
            self._use.release()

    # Reading and writing -------------------------------------------------------------------------

    def _receive(self, over_at: float | None, silence_s: float | None) -> bool:
        """Wait until anything arrives, and take it in; False if nothing came."""
        if self._is_tls and self._take_in():  # decrypted already, where no poll sees it
            return True
        if not self._comes_soon():
            waits_s = silence_s
            if over_at is not None:
                left_s = max(0.0, over_at - monotonic())
                waits_s = left_s if silence_s is None else min(left_s, silence_s)
            if not self._readable(None if waits_s is None else waits_s * 1000):
                return False
        while self._take_in() and not self._web.messages and self._web.is_open:
            pass
        return True

    def _comes_soon(self) -> bool:
        """Whether anything arrives while there is a busy wait."""
        spin = self._spin
        if not spin.begins():
            return False
        while spin.goes_on(is_over=(is_ready := bool(self._readable(0)))):
            give_way()
        return is_ready

    def _take_in(self) -> bool:
        """Read what is there and answer pings; False if there is nothing."""
        web = self._web
        self._is_amid = True
        try:
            count = self._socket.recv_into(web.room())
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._is_amid = False
            return False
        except OSError:  # it was reset
            count = 0
        if count:
            web.filled(count)
        else:
            web.ended()
        self._is_amid = False
        if web.unsent:
            self._send(web.take_unsent(), monotonic() + _PONG_S, None)
        if not (web.is_open or self._is_parting):  # the server said goodbye, or is not understood
            web.ended()
        return True

    def _send_in_time(self, data: bytes, move: Ask, over_at: float | None) -> None:
        stall_s = None if move.silence_s is None else 2 * move.silence_s
        if not self._send(data, over_at, stall_s):
            if over_at is not None and monotonic() >= over_at:
                raise timed_out(move.timeout_s)
            raise Broken(Break.CONNECTION_LOST, f"the server has taken nothing for {stall_s:g} s")

    def _send(self, data: bytes, over_at: float | None, stall_s: float | None) -> bool:
        """Send it, unless the connection breaks, which is seen where one reads.

        Returns:
            False if it was not all sent at ``over_at``, or nothing of it for ``stall_s``.
        """
        self._is_amid = True
        left: bytes | memoryview = data
        while left:
            wait = self._writable
            try:
                sent = self._socket.send(left)
                if sent == len(left):
                    break
                left = memoryview(left)[sent:]
                continue
            except (BlockingIOError, ssl.SSLWantWriteError):
                pass
            except ssl.SSLWantReadError:
                wait = self._readable
            except OSError:  # it was reset; nothing more may be sent
                return True
            waits_s = stall_s
            if over_at is not None:
                left_s = max(0.0, over_at - monotonic())
                waits_s = left_s if stall_s is None else min(left_s, stall_s)
            if not wait(None if waits_s is None else waits_s * 1000):
                return False
        self._is_amid = False
        return True


def _poll(connected: socket.socket, *, to_write: bool) -> Callable[[float | None], object]:
    """What waits so many milliseconds, ``None``: for ever, until the connection is ready; true if it is."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(connected, select.POLLOUT if to_write else select.POLLIN)
        return poll.poll

    def wait(milliseconds: float | None) -> object:
        read, write = ([], [connected]) if to_write else ([connected], [])
        return any(select.select(read, write, [], None if milliseconds is None else milliseconds / 1000))

    return wait
