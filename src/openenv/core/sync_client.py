"""The synchronous client under its older path."""

from __future__ import annotations

from openenv.client import SyncEnvClient

__all__ = ["SyncEnvClient"]
