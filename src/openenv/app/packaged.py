"""What the command of a package serves: as ``openenv serve`` would, with what the environment variables say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from openenv.app.guarding import Guard, guard
from openenv.app.load import SessionOptions, equip
from openenv.app.resolve import Local
from openenv.environment import find_manifest, read_manifest
from openenv.settings import load_settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["prepare"]

_UPWARDS = 3
"""Directories that are looked through for a manifest, from that of the application's module on."""


def prepare(app: ASGIApp, name: str) -> Guard:
    """Set in an application what ``openenv serve`` would set: tokens, and the credentials that its manifest names.

    Args:
        app: One made by ``create_app``.
        name: What it is called in errors.

    Raises:
        ConfigurationError: Credentials or tokens are missing or cannot be.
    """
    settings = load_settings(only=("auth", "allowed_hosts"))
    guarded = guard(auth=settings.auth, mode=None, allowed_hosts=settings.allowed_hosts)
    engine = getattr(getattr(app, "state", None), "engine", None)
    module = getattr(getattr(engine, "workers", None), "module", None)
    manifest = _manifest_of(module)
    sources = () if manifest is None else read_manifest(manifest).credential_sources(manifest.parent)
    equip(app, Local(name, module or name, credentials=sources), SessionOptions.of(**guarded.options))
    return guarded


def _manifest_of(module: str | None) -> Path | None:
    """The manifest of the package that a module is in."""
    file = getattr(sys.modules.get(module or ""), "__file__", None)
    if file is None:
        return None
    directories = [*Path(file).resolve().parents][:_UPWARDS]
    return next((found for one in directories if (found := find_manifest(one)) is not None), None)
