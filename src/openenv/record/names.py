"""What the files of a directory of records are called."""

from __future__ import annotations

__all__ = ["FILE_NAME"]

FILE_NAME = "events.sqlite"
"""The store."""
