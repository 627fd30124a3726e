"""Serving an application from this process until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import ipaddress
import logging
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from openenv.errors import ConfigurationError, OpenEnvError, PortInUse, RuntimeFailure
from openenv.server import MAX_MESSAGE_BYTES, SHUTDOWN_GRACE_S, warn_if_exposed

__all__ = ["CLOSE_GRACE_S", "Listening", "bind", "serve", "serve_named"]

CLOSE_GRACE_S = 5
"""Seconds that environments are given to close, after the running requests."""

_PING_EVERY_S = 20.0
_BACKLOG = 2048
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

log = logging.getLogger("openenv.server")


class Listening:
    """A server that takes connections.

    Attributes:
        url: Its address on this machine.
    """

    def __init__(self, url: str, server: uvicorn.Server) -> None:
        self.url = url
        self._server = server

    def stop(self) -> None:
        """Ask it to stop, from any thread; ``serve`` returns when it has."""
        self._server.should_exit = True


def serve(
    app: ASGIApp,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    on_ready: Callable[[Listening], None] | None = None,
    debug: bool = False,
    grace_s: int = SHUTDOWN_GRACE_S,
) -> None:
    """Serve until SIGINT or SIGTERM, or ``Listening.stop``; then end requests, close environments and return.

    Signals are heeded in the main thread only. A second one ends the process at once. An environment that does not
    let go in time, because its step never ends, is no reason to go on: the process ends with exit code 1.

    Args:
        app: The application; any ASGI app, best one made by ``create_app``.
        host: Address or host name to listen on.
        port: TCP port, 0 to 65535; 0 lets the system choose one.
        on_ready: Called once, when connections are taken.
        debug: Log everything, tracebacks of environments included.
        grace_s: Seconds that running requests are given when it is stopped. Closing environments may then take
            ``CLOSE_GRACE_S`` more.

    Raises:
        PortInUse: Something listens on that port.
        ConfigurationError: That address cannot be listened on.
        RuntimeFailure: The application failed to start.
    """
    if debug:
        logging.basicConfig(level=logging.INFO)
        logging.getLogger("openenv").setLevel(logging.DEBUG)
    with bind(host, port) as listener:
        warn_if_exposed(host)
        state = getattr(app, "state", None)
        limit = getattr(state, "max_message_bytes", MAX_MESSAGE_BYTES)
        config = uvicorn.Config(
            app,
            ws_max_size=4 * limit,  # the app's own limit comes first, and answers with a typed error
            ws_ping_interval=_PING_EVERY_S,  # proxies see traffic
            ws_ping_timeout=None,  # a client that thinks for ten minutes is alive; TCP keepalive finds the dead
            ws_per_message_deflate=False,  # costs more time than it saves
            access_log=debug,
            log_level="info" if debug else "warning",
            backlog=_BACKLOG,
            timeout_graceful_shutdown=grace_s,
        )
        drain = getattr(state, "drain", None)
        server = _Server(config, _url(listener), on_ready, drain, grace_s)
        try:
            server.run(sockets=[listener])
        except SystemExit:
            if server.started:
                raise
        if not server.started:
            raise RuntimeFailure("the application failed to start; what it raised is logged above")


def serve_named(app: ASGIApp, name: str, host: str, port: int) -> None:
    """``serve`` for the command of a package: prints where, and ends with one line if it cannot serve.

    Args:
        app: The application.
        name: What it is called in that line.
        host: Address to listen on.
        port: TCP port, 0 to 65535; 0 lets the system choose one.

    Raises:
        SystemExit: It cannot be served; the line says how to mend it.
    """

    def tell(listening: Listening) -> None:
        print(f"{name} is served at {listening.url}", flush=True)

    try:
        serve(app, host, port, on_ready=tell)
    except OpenEnvError as error:  # such as a port in use
        raise SystemExit(f"error: {error}") from None


def bind(host: str, port: int) -> socket.socket:
    """A TCP socket bound to an address, not yet listening.

    Raises:
        PortInUse: Another process listens there.
        ConfigurationError: The host is unknown or not this machine's, or the port is not allowed.
    """
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"a port is a number from 0 to 65535, not {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigurationError(
            f"cannot listen on {host!r}: {error}; --host takes an address such as 127.0.0.1"
        ) from None
    # the protocol is named since accepted sockets inherit it, and asyncio turns Nagle's algorithm off for TCP alone
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _keep_alive(listener)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"port {port} on {host} is in use; stop what listens there, or choose another with --port"
            ) from None
        raise ConfigurationError(f"cannot listen on {host}, port {port}: {error.strerror}") from None
    except BaseException:
        listener.close()
        raise
    return listener


def _keep_alive(listener: socket.socket) -> None:
    """Let the kernel find out, within about two minutes, that a silent client is gone. Accepted sockets inherit it."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):  # not every system has all three
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _url(listener: socket.socket) -> str:
    """The address at which this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://{address}:{port}" if address.version == 4 else f"http://[{address}]:{port}"


class _Server(uvicorn.Server):
    """uvicorn with an end that comes in bounded time, and with exit code 0."""

    def __init__(
        self,
        config: uvicorn.Config,
        url: str,
        on_ready: Callable[[Listening], None] | None,
        drain: Callable[[float], Awaitable[None]] | None,
        grace_s: float,
    ) -> None:
        super().__init__(config)
        self._url = url
        self._on_ready = on_ready
        self._drain = drain
        self._grace_s = grace_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if not self.started:
            return
        gc.collect()
        gc.freeze()  # what is imported by now stays; later collections need not walk it
        if self._on_ready is not None:
            self._on_ready(Listening(self._url, self))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        limit_s = self._grace_s + CLOSE_GRACE_S
        try:
            async with asyncio.timeout(limit_s):
                if self._drain is not None:  # while connections are still there: their clients are to be told
                    with contextlib.suppress(TimeoutError):
                        await self._drain(self._grace_s)
                await super().shutdown(sockets=sockets)
        except TimeoutError:  # a step that never ends holds its environment, and Python cannot end its thread
            log.error("some environments did not close within %g s; ending without them", limit_s)
            logging.shutdown()
            os._exit(1)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal, without raising it again afterwards: being stopped is no failure."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._heed) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heed(self, number: int, _: Any) -> None:
        if self.should_exit:
            os._exit(128 + number)
        self.should_exit = True
