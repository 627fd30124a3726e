"""The application: all endpoints of one environment, and its life from start to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.routing import WebSocketRoute

from openenv.protocol import Hello, Limits
from openenv.server.exposure import EXPOSURE, Exposure
from openenv.server.http import http_routes
from openenv.server.limits import MAX_MESSAGE_BYTES
from openenv.server.openapi import describe_action
from openenv.server.websocket import WebSocketEndpoint
from openenv.session import DetachedSessions, Peer, SessionEngine
from openenv.version import __version__

__all__ = ["build_app"]

_REAP_EVERY_S = 30.0


def build_app(
    engine: SessionEngine, *, max_message_bytes: int = MAX_MESSAGE_BYTES, exposure: Exposure = EXPOSURE
) -> FastAPI:
    """The application that serves the sessions of one environment.

    Args:
        engine: Where the sessions live.
        max_message_bytes: Largest message a client may send.
        exposure: Warns where others can reach it.
    """
    detached = DetachedSessions(engine)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        reaper = asyncio.create_task(_reap(detached))
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
            features=[],
            limits=Limits(max_message_bytes=max_message_bytes, capacity=engine.capacity),
        )

    app = FastAPI(title=engine.spec.name, version=__version__, lifespan=lifespan)
    app.state.engine, app.state.max_message_bytes = engine, max_message_bytes  # for whoever serves it
    app.include_router(http_routes(engine, detached, max_message_bytes, exposure))
    describe_action(app, engine.spec)
    sockets = WebSocketEndpoint(lambda: Peer(engine, detached), greeting, exposure)
    app.router.routes.append(WebSocketRoute("/ws", sockets))
    return app


async def _reap(detached: DetachedSessions) -> None:
    while True:
        await asyncio.sleep(_REAP_EVERY_S)
        await detached.reap()
