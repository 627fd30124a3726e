"""The application: all endpoints of one environment, and its life from start to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from openenv.protocol import Hello, Limits
from openenv.server.access import Access, AccessOptions
from openenv.server.application import Application, Asgi
from openenv.server.exposure import EXPOSURE, Exposure
from openenv.server.http import http_endpoints
from openenv.server.limits import MAX_MESSAGE_BYTES
from openenv.server.mcp_door import McpDoor, mcp_endpoints
from openenv.server.surface import Surface
from openenv.server.websocket import McpSocket, WebSocketEndpoint
from openenv.session import Openings, Peer, SessionEngine, SharedSession
from openenv.version import __version__

if TYPE_CHECKING:
    from fastapi import FastAPI

    from openenv.server.mcp.endpoint import McpEndpoint
    from openenv.tools import Mode

__all__ = ["build_app"]

_REAP_EVERY_S = 1.0
_FEATURES = ["resume", "queue", "deadlines", "fork", "batch", "outcome", "agent"]


def build_app(
    engine: SessionEngine,
    *,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    exposure: Exposure = EXPOSURE,
    auth: AccessOptions | None = None,
    mode: Mode = "simulation",
) -> FastAPI:
    """The application that serves the sessions of one environment.

    Args:
        engine: Where the sessions live.
        max_message_bytes: Largest message a client may send.
        exposure: Warns where others can reach it.
        auth: Who may do what; ``None``: everybody everything.
        mode: ``production``: there is nothing that controls episodes.
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

    access = Access(auth, engine.sessions.get, exposure)
    sockets = WebSocketEndpoint(partial(Peer, engine, openings, shared), greeting, access, plain=engine.spec.is_plain)

    def mcp() -> McpEndpoint:
        from openenv.server.mcp.endpoint import McpEndpoint  # at the first request for it

        return McpEndpoint(engine, shared, access, max_message_bytes)

    door = McpDoor(mcp)
    endpoints = [*http_endpoints(engine, openings, shared, max_message_bytes, access), *mcp_endpoints(door)]
    over_sockets: dict[str, Asgi] = {sockets.path: sockets, "/mcp": McpSocket(door.converse, access)}

    def complete(whole: FastAPI) -> None:
        from starlette.routing import WebSocketRoute

        from openenv.server.openapi import add_endpoints

        type(whole).__init__(whole, title=engine.spec.name, version=__version__, lifespan=lifespan)
        add_endpoints(whole, endpoints, engine.spec)
        whole.router.routes += [WebSocketRoute(path, serve) for path, serve in over_sockets.items()]
        surface.trim(whole)

    surface = Surface(engine, access, endpoints)
    app = surface.app = Application(over_sockets, endpoints, lifespan, complete)
    engine.workers.app = sockets.app = app
    # for whoever serves it
    app.state.engine, app.state.max_message_bytes, app.state.drain = engine, max_message_bytes, engine.drain
    app.state.sockets, app.state.access, app.state.surface = sockets, access, surface
    if mode != "simulation":
        surface.serve_as(mode)
    return cast("FastAPI", app)


async def _reap(engine: SessionEngine) -> None:
    while True:
        await asyncio.sleep(_REAP_EVERY_S)
        engine.reap()
