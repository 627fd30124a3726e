"""Puts the parts together: an application to serve, a client to use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openenv.app.create import create_app
    from openenv.app.making import make

_HOME = {"create_app": "openenv.app.create", "make": "openenv.app.making"}

__all__ = ["create_app", "make"]


def __getattr__(name: str) -> Any:  # a client that calls make() must not load a web framework
    if name not in _HOME:
        raise AttributeError(f"module 'openenv.app' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
