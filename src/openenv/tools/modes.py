"""The two ways in which an environment is served."""

from __future__ import annotations

from typing import Literal

__all__ = ["Mode"]

Mode = Literal["simulation", "production"]
"""``simulation``: somebody controls its episodes. ``production``: nobody does, and its tools are there all the same."""
