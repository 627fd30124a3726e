"""The life of an application as a server gives it: from start-up to shutdown, over ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def living(app: Any) -> AsyncIterator[None]:
    """Start an application, and stop it at the end of the block."""
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    life = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, told.get, heard.put))
    await told.put({"type": "lifespan.startup"})
    first = await heard.get()
    if first["type"] == "lifespan.startup.failed":
        await life
    assert first["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await told.put({"type": "lifespan.shutdown"})
        assert (await heard.get())["type"] == "lifespan.shutdown.complete"
        await life
