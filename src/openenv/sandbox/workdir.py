"""The working directory of a sandbox from outside: files go in and out, links are never followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from openenv.errors import RuntimeFailure

__all__ = ["WorkDirectory"]

_WALK = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking: a program may have put a pipe where a file was expected.
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class WorkDirectory:
    """Reads and writes beneath one directory that the program in the sandbox may change at any time.

    Each name of a path is opened by itself relative to the directory before it, which the program cannot exchange
    for one elsewhere: its directories all lie in a file system of its own.

    Args:
        directory: A descriptor of the directory, which is closed with this object.
        uid: User id that owns what is written, or -1 to leave it to the one who writes.
    """

    def __init__(self, directory: int, uid: int) -> None:
        self._directory = directory
        self._uid = uid

    def close(self) -> None:
        """Let go of the directory; safe to call twice."""
        directory, self._directory = self._directory, -1
        if directory >= 0:
            os.close(directory)

    def write(self, path: str, content: bytes) -> None:
        """Write a file, making the directories on its way."""
        with self._parent(path, make=True) as (parent, name):
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | _FILE, 0o644, dir_fd=parent)
            with open(descriptor, "wb") as file:
                _check_regular(descriptor, path)
                os.ftruncate(descriptor, 0)
                if self._uid >= 0:
                    os.fchown(descriptor, self._uid, self._uid)
                file.write(content)

    def read(self, path: str, max_bytes: int) -> bytes:
        """The first bytes of a file."""
        with self._parent(path, make=False) as (parent, name):
            descriptor = os.open(name, os.O_RDONLY | _FILE, dir_fd=parent)
            try:
                _check_regular(descriptor, path)
            except OSError:
                os.close(descriptor)
                raise
            with open(descriptor, "rb") as file:
                return file.read(max_bytes)

    @contextmanager
    def _parent(self, path: str, *, make: bool) -> Iterator[tuple[int, str]]:
        """The directory that holds the path's last name, and that name."""
        if self._directory < 0:
            raise RuntimeFailure("the sandbox has ended, and its files with it; read them before")
        *directories, name = _names(path)
        current = os.dup(self._directory)
        try:
            for directory in directories:
                if make:
                    self._make(current, directory)
                following = os.open(directory, _WALK, dir_fd=current)
                os.close(current)
                current = following
            yield current, name
        finally:
            os.close(current)

    def _make(self, parent: int, name: str) -> None:
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
        except FileExistsError:
            return
        if self._uid >= 0:
            os.chown(name, self._uid, self._uid, dir_fd=parent, follow_symlinks=False)


def _names(path: str) -> list[str]:
    names = [name for name in path.split("/") if name not in ("", ".")]
    if path.startswith("/") or not names or ".." in names:
        raise ValueError(f"{path!r} is not a path inside the working directory; give a relative one without '..'")
    return names


def _check_regular(descriptor: int, path: str) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(f"{path!r} in the working directory is not a regular file")
