"""What code prints in the process of its owner, caught for those who run it there."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

from openenv_coding.server.capture import Capture

__all__ = ["caught"]

_stdout: ContextVar[Capture | None] = ContextVar("openenv_coding_stdout", default=None)
_stderr: ContextVar[Capture | None] = ContextVar("openenv_coding_stderr", default=None)
_lock = threading.Lock()
_inside = 0


class _Parted(io.TextIOBase):
    """A stream that gives each thread and task its own, where it has one."""

    def __init__(self, own: ContextVar[Capture | None], other: TextIO) -> None:
        self.own, self.other = own, other

    def write(self, text: str) -> int:
        capture = self.own.get()
        if capture is None:
            return self.other.write(text)
        capture.feed(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        if self.own.get() is None:
            self.other.flush()

    def writable(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:  # its encoding, its buffer
        return getattr(self.other, name)


@contextmanager
def caught(stdout: Capture, stderr: Capture) -> Iterator[None]:
    """Take what this thread or task writes to ``sys.stdout`` and ``sys.stderr``, and nothing that others write."""
    global _inside
    with _lock:
        if _inside == 0:
            sys.stdout, sys.stderr = _Parted(_stdout, sys.stdout), _Parted(_stderr, sys.stderr)
        _inside += 1
    tokens = _stdout.set(stdout), _stderr.set(stderr)
    try:
        yield
    finally:
        _stdout.reset(tokens[0])
        _stderr.reset(tokens[1])
        with _lock:
            _inside -= 1
            if _inside == 0:
                for name in ("stdout", "stderr"):
                    stream = getattr(sys, name)
                    if isinstance(stream, _Parted):  # not where somebody else has put another one meanwhile
                        setattr(sys, name, stream.other)
