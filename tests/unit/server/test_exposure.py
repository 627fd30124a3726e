"""The warning for servers that others can reach."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest
from tests.unit.session.worlds import engine_of, world

from openenv.server import Exposure, build_app, warn_if_exposed


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost", "/run/env.sock"])
def test_loopback_is_quiet(host: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert warn_if_exposed(host) is False
    assert not caplog.records


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.4", "example.org"])
def test_everything_else_is_loud(host: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert warn_if_exposed(host) is True
    assert f"LISTENING ON {host} WITHOUT AUTHENTICATION" in caplog.text
    assert "127.0.0.1" in caplog.text


class Under:
    """An application as a server at some address runs it."""

    def __init__(self, server: tuple[str, int | None] | None, exposure: Exposure) -> None:
        self._server = server
        self._app = build_app(engine_of(world()), exposure=exposure)

    async def request(self) -> None:
        transport = httpx.ASGITransport(self._call)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            assert (await client.get("/health")).status_code == 200

    async def connect(self) -> None:
        coming = [{"type": "websocket.connect"}, *({"type": "websocket.receive", "text": "{}"} for _ in range(3))]
        coming = [*coming, {"type": "websocket.disconnect", "code": 1000}]

        async def receive() -> Any:
            return coming.pop(0)

        async def send(message: Any) -> None:
            pass

        scope = {"type": "websocket", "path": "/ws", "headers": [], "query_string": b"", "subprotocols": []}
        await self._call(scope, receive, send)

    async def _call(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app({**scope, "server": self._server}, receive, send)


@pytest.mark.parametrize("way", ["request", "connect"])
async def test_the_app_warns_once_when_others_reach_it(way: str, caplog: pytest.LogCaptureFixture) -> None:
    app = Under(("192.168.1.4", 8000), Exposure())
    for _ in range(3):
        await getattr(app, way)()
    assert caplog.text.count("LISTENING ON 192.168.1.4 WITHOUT AUTHENTICATION") == 1


@pytest.mark.parametrize("server", [("127.0.0.1", 80), ("::1", 80), ("/run/env.sock", None), ("testserver", 80), None])
async def test_the_app_is_quiet_where_only_this_machine_reaches_it(
    server: tuple[str, int | None] | None, caplog: pytest.LogCaptureFixture
) -> None:
    app = Under(server, Exposure())
    await app.request()
    await app.connect()
    assert "AUTHENTICATION" not in caplog.text


async def test_what_was_said_at_the_start_is_not_said_again(caplog: pytest.LogCaptureFixture) -> None:
    exposure = Exposure()
    assert exposure.listening("0.0.0.0")
    await Under(("192.168.1.4", 8000), exposure).request()
    assert caplog.text.count("WITHOUT AUTHENTICATION") == 1
