"""The application: all endpoints of one environment, and its life from start to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from starlette.routing import WebSocketRoute

from openenv.protocol import Hello, Limits
from openenv.server.exposure import EXPOSURE, Exposure
from openenv.server.http import http_routes
from openenv.server.limits import MAX_MESSAGE_BYTES
from openenv.server.openapi import describe_action
from openenv.server.websocket import WebSocketEndpoint
from openenv.session import Openings, Peer, SessionEngine, SharedSession
from openenv.version import __version__

__all__ = ["build_app"]

_REAP_EVERY_S = 1.0
_FEATURES = ["resume", "queue", "deadlines", "fork"]


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
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
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

    app = FastAPI(title=engine.spec.name, version=__version__, lifespan=lifespan)
    engine.workers.app = app
    # for whoever serves it
    app.state.engine, app.state.max_message_bytes, app.state.drain = engine, max_message_bytes, engine.drain
    app.include_router(http_routes(engine, openings, shared, max_message_bytes, exposure))
    describe_action(app, engine.spec)
    sockets = WebSocketEndpoint(partial(Peer, engine, openings, shared), greeting, exposure, plain=engine.spec.is_plain)
    app.router.routes.append(WebSocketRoute("/ws", sockets))
    return app


async def _reap(engine: SessionEngine) -> None:
    while True:
        await asyncio.sleep(_REAP_EVERY_S)
        engine.reap()
