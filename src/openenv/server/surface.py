"""What of an application can be reached, as whoever serves it says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from openenv.server.access import CONTROL, Access, AccessOptions
from openenv.server.exchange import Endpoint
from openenv.session import SessionEngine

if TYPE_CHECKING:
    from openenv.tools import Mode

__all__ = ["Surface"]


class Surface:
    """Set before the application is served.

    Args:
        engine: Where its sessions live.
        access: Who may reach them.
        endpoints: Those of HTTP, in a list that the application looks into at every request.

    Attributes:
        app: The application.
    """

    app: Any = None

    def __init__(self, engine: SessionEngine, access: Access, endpoints: list[Endpoint]) -> None:
        self._engine = engine
        self._access = access
        self._endpoints = endpoints
        self._control = {(one.method, one.path) for one in endpoints if one.name in CONTROL}

    def guard(self, options: AccessOptions) -> None:
        """Check who asks; who asks for no tokens takes none away that the application itself asks for."""
        if self._access.enabled and not options.enabled:
            options = replace(options, enabled=True, tokens=self._access.tokens)
        self._access.configure(options)
        self.trim(self.app)

    def serve_as(self, mode: Mode) -> None:
        """Serve for training, or for real: then there is nothing that controls episodes."""
        self._engine.equip(mode=mode)
        if mode == "production":
            self._access.production = True
            self._endpoints[:] = [one for one in self._endpoints if one.name not in CONTROL]
            self.trim(self.app)

    def trim(self, app: Any) -> None:
        """Take what is not to be reached out of the application, where that is a FastAPI."""
        router = vars(app).get("router")  # looking for an attribute might make a FastAPI of it
        if router is None:
            return
        if self._access.production:
            router.routes[:] = [route for route in router.routes if not self._is_control(route)]
        if self._access.enabled:  # a browser has no token to show for them
            pages = {app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url}
            router.routes[:] = [route for route in router.routes if getattr(route, "path", "") not in pages]
        app.openapi_schema = None

    def _is_control(self, route: Any) -> bool:
        path = getattr(route, "path", "")
        return any((method, path) in self._control for method in getattr(route, "methods", None) or ())
