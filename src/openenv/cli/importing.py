"""Imports as a command does them: all at once, at its start."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["importing"]


@contextmanager
def importing() -> Iterator[None]:
    """Import in here what the command needs: nothing of it is garbage, so that no collection needs to look for any."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
