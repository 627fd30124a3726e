"""The application: all endpoints of one environment, and its life from start to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from openenv.protocol import Hello, Limits
from openenv.server.application import Application
from openenv.server.exposure import EXPOSURE, Exposure
from openenv.server.http import http_endpoints
from openenv.server.limits import MAX_MESSAGE_BYTES
from openenv.server.websocket import WebSocketEndpoint
from openenv.session import Openings, Peer, SessionEngine, SharedSession
from openenv.version import __version__

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["build_app"]

_REAP_EVERY_S = 1.0
_FEATURES = ["resume", "queue", "deadlines", "fork", "batch"]


def build_app(
    engine: SessionEngine, *, max_message_bytes: int = MAX_MESSAGE_BYTES, exposure: Exposure = EXPOSURE
) -> FastAPI:
    """The application that serves the sessions of one environment.

    Args:
        engine: Where the sessions live.
        max_message_bytes: Largest message a client may send.
        exposure: Warns where others can reach it.
    """
    shared = SharedSession(engine)
    openings = Openings(engine, shared.give_way)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        await engine.start()
        reaper = asyncio.create_task(_reap(engine))
        try:
            yield
        finally:
            reaper.cancel()
            await engine.aclose()

    def greeting() -> Hello:
        about = engine.metadata
        return Hello(
            protocol="openenv.v2",
            library=__version__,
            environment=engine.spec.name,
            environment_version=about.version if about else None,
            features=_FEATURES,
            limits=Limits(max_message_bytes=max_message_bytes, capacity=engine.capacity, lease_s=engine.leases.lease_s),
        )

    sockets = WebSocketEndpoint(partial(Peer, engine, openings, shared), greeting, exposure, plain=engine.spec.is_plain)
    endpoints = http_endpoints(engine, openings, shared, max_message_bytes, exposure)

    def complete(whole: FastAPI) -> None:
        from starlette.routing import WebSocketRoute

        from openenv.server.openapi import add_endpoints

        type(whole).__init__(whole, title=engine.spec.name, version=__version__, lifespan=lifespan)
        add_endpoints(whole, endpoints, engine.spec)
        whole.router.routes.append(WebSocketRoute(sockets.path, sockets))

    app = Application(sockets, endpoints, lifespan, complete)
    engine.workers.app = sockets.app = app
    # for whoever serves it
    app.state.engine, app.state.max_message_bytes, app.state.drain = engine, max_message_bytes, engine.drain
    app.state.sockets = sockets
    return cast("FastAPI", app)


async def _reap(engine: SessionEngine) -> None:
    while True:
        await asyncio.sleep(_REAP_EVERY_S)
        engine.reap()
