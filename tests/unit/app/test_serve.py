"""Binding a port, telling its URL, and warning who can reach it."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest
from websockets.sync.client import connect

from openenv import State, create_app
from openenv.app.serve import Listening, bind, serve
from openenv.environment import Environment
from openenv.errors import ConfigurationError, MessageTooLarge, PortInUse, RuntimeFailure
from openenv.protocol import SUBPROTOCOLS
from openenv.types import Action, Observation


class Still(Environment[Action, Observation, State]):
    """Does nothing."""

    def reset(self) -> Observation:
        return Observation()

    def step(self, action: Action) -> Observation:
        return Observation()

    @property
    def state(self) -> State:
        return State()


def test_a_port_in_use_is_named_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} .*--port"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize("port", [-1, 65536])
def test_an_impossible_port_is_refused(port: int) -> None:
    with pytest.raises(ConfigurationError, match="0 to 65535"):
        bind("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7", "a" * 70])
def test_an_impossible_host_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot listen on"):
        bind(host, 0)


def test_silent_connections_are_probed_and_not_delayed() -> None:
    with bind("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert accepted.proto == socket.IPPROTO_TCP  # asyncio goes by it when it turns Nagle's algorithm off


class Served(threading.Thread):
    """An application that is served from a thread, until the end of the block."""

    def __init__(self, app: Callable[..., Awaitable[None]], host: str = "127.0.0.1") -> None:
        super().__init__()
        self._app, self._host = app, host
        self._listening = threading.Event()
        self.at: Listening

    def run(self) -> None:
        serve(self._app, self._host, 0, on_ready=self._ready, grace_s=1)

    def _ready(self, at: Listening) -> None:
        self.at = at
        self._listening.set()

    def __enter__(self) -> Listening:
        self.start()
        assert self._listening.wait(30)
        return self.at

    def __exit__(self, *_: object) -> None:
        self.at.stop()
        self.join(30)
        assert not self.is_alive()


def test_beyond_loopback_it_warns_loudly(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), Served(create_app(Still), "0.0.0.0") as at:
        assert at.url.startswith("http://127.0.0.1:")
        assert "WITHOUT AUTHENTICATION" in caplog.text


def test_on_loopback_it_does_not_warn(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), Served(create_app(Still)):
        assert "AUTHENTICATION" not in caplog.text


def test_a_message_over_the_limit_gets_the_typed_error() -> None:
    app = create_app(Still, max_message_bytes=100_000)
    with (
        Served(app) as at,
        connect(at.url.replace("http", "ws") + "/ws", subprotocols=SUBPROTOCOLS, compression="deflate") as client,  # type: ignore[arg-type]
    ):
        assert "hello" in str(client.recv(30))
        assert not client.protocol.extensions
        client.send("x" * 200_000)
        assert MessageTooLarge.code in str(client.recv(30))


async def _broken(scope: MutableMapping[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


def test_an_app_that_does_not_start_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RuntimeFailure, match="failed to start"):
        serve(_broken, port=0)
