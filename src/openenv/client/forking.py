"""Whether this process is a fork of the one that something belongs to: a connection is of one process only."""

from __future__ import annotations

import os

__all__ = ["Origin"]

_forks = 0  # that lie between this process and the one that loaded this


class Origin:
    """The process that made it."""

    __slots__ = ("_forks",)

    def __init__(self) -> None:
        self._forks = _forks

    @property
    def is_elsewhere(self) -> bool:
        """Whether this process is another, which was forked from it."""
        return self._forks != _forks


def _note() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note)
