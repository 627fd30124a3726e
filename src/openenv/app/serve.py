"""Serving an application from this process until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import uvicorn

from openenv.app.binding import BACKLOG, bind, url_of
from openenv.errors import ConfigurationError, OpenEnvError, RuntimeFailure
from openenv.server import MAX_MESSAGE_BYTES, SHUTDOWN_GRACE_S, Access, AgentPort, listener_for, warn_if_exposed

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["CLOSE_GRACE_S", "Listening", "bind", "serve", "serve_named"]

CLOSE_GRACE_S = 5
"""Seconds that environments are given to close, after the running requests."""

_PING_EVERY_S = 20.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

log = logging.getLogger("openenv.server")


class Listening:
    """A server that takes connections.

    Attributes:
        url: Its address on this machine.
        agent_url: That of the port for agents; ``None`` if they have none of their own.
    """

    def __init__(self, url: str, agent_url: str | None, server: uvicorn.Server) -> None:
        self.url = url
        self.agent_url = agent_url
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
    listener: socket.socket | None = None,
    sockets: Literal["auto", "asgi"] = "auto",
    around: ASGIApp | None = None,
    agent_port: int | None = None,
    agent_listener: socket.socket | None = None,
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
        listener: A TCP socket that is bound already, instead of ``host`` and ``port``; it is closed at the end.
        sockets: How the application's own WebSockets are carried. ``auto``: the fastest way that there is, which for
            one made by ``create_app``, without middleware, goes round ASGI; ``asgi``: as under any other server.
        around: What is to be asked instead of ``app``, and asks it.
        agent_port: Another TCP port, where there is nothing but MCP; agents' tokens are good there alone.
        agent_listener: A TCP socket that is bound already, instead of ``agent_port``; it is closed at the end.

    Raises:
        PortInUse: Something listens on that port.
        ConfigurationError: That address cannot be listened on, or agents cannot have a port of their own.
        RuntimeFailure: The application failed to start.
    """
    if debug:
        logging.basicConfig(level=logging.INFO)
        logging.getLogger("openenv").setLevel(logging.DEBUG)
    with contextlib.ExitStack() as ends:
        listening = [ends.enter_context(listener or bind(host, port))]
        state = getattr(app, "state", None)
        access = getattr(state, "access", None)
        if agent_listener is None and agent_port is not None:
            agent_listener = bind(host, agent_port, "--agent-port")
        if agent_listener is not None:
            listening.append(ends.enter_context(agent_listener))
            around = _with_agents(app, around or app, agent_listener)
        if isinstance(access, Access):
            access.listening(host)
        else:
            warn_if_exposed(host)
        limit = getattr(state, "max_message_bytes", MAX_MESSAGE_BYTES)
        shorter: Any = listener_for(app) if sockets == "auto" else None
        config = uvicorn.Config(
            around or app,
            ws=shorter or "auto",
            ws_max_size=4 * limit,  # the app's own limit comes first, and answers with a typed error
            ws_ping_interval=_PING_EVERY_S,  # proxies see traffic
            ws_ping_timeout=None,  # a client that thinks for ten minutes is alive; TCP keepalive finds the dead
            ws_per_message_deflate=False,  # costs more time than it saves
            access_log=debug,
            log_level="info" if debug else "warning",
            backlog=BACKLOG,
            timeout_graceful_shutdown=grace_s,
        )
        drain = getattr(state, "drain", None)
        server = _Server(config, [url_of(one) for one in listening], on_ready, drain, grace_s)
        try:
            server.run(sockets=listening)
        except SystemExit:
            if server.started:
                raise
        if not server.started:
            raise RuntimeFailure("the application failed to start; what it raised is logged above")


def _with_agents(app: Any, around: ASGIApp, listener: socket.socket) -> AgentPort:
    """The application, guarded where requests come in at that socket; agents are told to come there."""
    access = getattr(getattr(app, "state", None), "access", None)
    if not isinstance(access, Access):
        raise ConfigurationError("only what create_app made can have a port for agents; leave out --agent-port")
    port = listener.getsockname()[1]
    app.state.engine.agents_at = f":{port}/sessions/{{session}}/mcp"
    return AgentPort(around, access, port)


def serve_named(app: ASGIApp, name: str, host: str, port: int) -> None:
    """``serve`` for the command of a package: prints where, and ends with one line if it cannot serve.

    Tokens are asked for where ``OPENENV_AUTH`` says so; new ones are printed. Credentials that the manifest of the
    package names are read.

    Args:
        app: The application.
        name: What it is called in that line.
        host: Address to listen on.
        port: TCP port, 0 to 65535; 0 lets the system choose one.

    Raises:
        SystemExit: It cannot be served; the line says how to mend it.
    """

    from openenv.app.packaged import prepare  # here: it needs what serves an environment by its name

    def tell(listening: Listening) -> None:
        print(f"{name} is served at {listening.url}", flush=True)
        for role, token in guarded.drawn.items():
            print(f"token of the {role}: {token}", flush=True)

    try:
        guarded = prepare(app, name)
        serve(app, host, port, on_ready=tell)
    except OpenEnvError as error:  # such as a port in use
        raise SystemExit(f"error: {error}") from None


def _let_be_ended() -> None:
    """In a child that an environment forks: a signal ends it, and does not ask a server to stop that is not there."""
    for number in _SIGNALS:
        if isinstance(getattr(signal.getsignal(number), "__self__", None), _Server):
            signal.signal(number, signal.SIG_DFL)


os.register_at_fork(after_in_child=_let_be_ended)


class _Server(uvicorn.Server):
    """uvicorn with an end that comes in bounded time, and with exit code 0."""

    def __init__(
        self,
        config: uvicorn.Config,
        urls: list[str],
        on_ready: Callable[[Listening], None] | None,
        drain: Callable[[float], Awaitable[None]] | None,
        grace_s: float,
    ) -> None:
        super().__init__(config)
        self._urls = urls
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
            self._on_ready(Listening(self._urls[0], self._urls[1] if self._urls[1:] else None, self))

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
