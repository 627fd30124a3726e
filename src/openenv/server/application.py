"""What ``create_app`` returns: a light application, which becomes a FastAPI once it is used as one."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from openenv.server.exchange import Endpoint, Receive, Scope, Send, path_of

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["Application", "Asgi", "Lifespan"]

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]

_WANT_IT_WHOLE = ("fastapi", "opentelemetry")
"""Loaded already, they say that it will be used as a FastAPI, or that FastAPI is to report its requests."""
_LIKE = (("fastapi", "FastAPI"), ("starlette.applications", "Starlette"))


class Application:
    """Endpoints that are served without FastAPI, whose import costs as much as the rest of a small server.

    The first use of any public attribute but ``state``, or the first request of a path that is not here, makes this
    very object a FastAPI: ``app.get(...)``, ``app.mount(...)``, ``/docs`` and whatever else work as they do there.

    Args:
        sockets: What serves WebSockets, by path.
        endpoints: Those of HTTP.
        lifespan: As FastAPI takes it.
        complete: Makes a FastAPI of the object that it is given, whose class is that already: calls its ``__init__``
            and adds the endpoints.

    Attributes:
        state: As of a FastAPI; what is put into it stays.
    """

    state: Any
    _life: Lifespan
    _sockets: Mapping[str, Asgi]
    _endpoints: Sequence[Endpoint]
    _complete: Callable[[FastAPI], None]

    def __init__(
        self,
        sockets: Mapping[str, Asgi],
        endpoints: Sequence[Endpoint],
        lifespan: Lifespan,
        complete: Callable[[FastAPI], None],
    ) -> None:
        vars(self).update(  # setting an attribute would make it a FastAPI
            state=SimpleNamespace(), _sockets=sockets, _endpoints=endpoints, _life=lifespan, _complete=complete
        )
        if any(name in sys.modules for name in _WANT_IT_WHOLE):
            _become_whole(self)

    @property  # type: ignore[misc] # it is written once, past this
    def __class__(self) -> Any:
        """What ``isinstance`` is to believe. Only who has imported a class can ask for it."""
        for module, name in _LIKE:
            if hasattr(sys.modules.get(module), name):
                return getattr(sys.modules[module], name)
        return Application

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # asked of any object by who wonders what it is
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        _become_whole(self)
        return getattr(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        _become_whole(self)
        setattr(self, name, value)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or connection, or the life of the application."""
        if type(self) is Application:
            if scope["type"] == "lifespan":
                await _live(self._life(self), receive, send)
                return
            found = self._found(scope)
            if found is not None:
                await found(scope, receive, send)
                return
            await asyncio.to_thread(import_module, "fastapi")  # sessions go on meanwhile
            _become_whole(self)
        await self(scope, receive, send)

    def _found(self, scope: Scope) -> Asgi | None:
        path = path_of(scope)
        if scope["type"] == "websocket":
            return self._sockets.get(path)
        return next((one for one in self._endpoints if one.named(scope["method"], path) is not None), None)


def _become_whole(app: Application) -> None:
    from fastapi import FastAPI
    from starlette.datastructures import State

    if type(app) is Application:
        state, complete = vars(app.state), app._complete
        vars(object)["__class__"].__set__(app, FastAPI)  # past the property above
        complete(cast("FastAPI", app))
        app.state = State(state)


async def _live(life: AbstractAsyncContextManager[None], receive: Receive, send: Send) -> None:
    """From start-up to shutdown."""
    await receive()
    step = "startup"
    try:
        async with life:
            await send({"type": "lifespan.startup.complete"})
            step = "shutdown"
            await receive()
    except BaseException:  # whatever it is, who serves is told, and gets it
        await send({"type": f"lifespan.{step}.failed", "message": traceback.format_exc()})
        raise
    await send({"type": "lifespan.shutdown.complete"})
