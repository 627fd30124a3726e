"""Puts the parts together: an application to serve, a client to use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv.lazy import on_first_use

if TYPE_CHECKING:
    from openenv.app.create import create_app
    from openenv.app.making import make

_HOME = {"create_app": "openenv.app.create", "make": "openenv.app.making"}

__all__ = ["create_app", "make"]

# a client that calls make() must not load a web framework
__getattr__ = on_first_use(__name__, _HOME)
