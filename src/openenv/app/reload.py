"""Serving an environment that is being written: its server is started anew whenever one of its files changes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from openenv.errors import OpenEnvError
from openenv.runtime import Runtime

__all__ = ["serve_reloading", "snapshot"]

_SUFFIXES = (".py", ".yaml", ".yml", ".json", ".toml")
_SKIPPED = {"__pycache__", "node_modules", "site-packages", "build", "dist"}


def serve_reloading(
    runtime: Runtime,
    directory: Path,
    *,
    stop: threading.Event,
    on_ready: Callable[[str], None],
    on_failure: Callable[[OpenEnvError], None],
    look_every_s: float = 0.5,
) -> None:
    """Serve until told to stop. Each change ends all sessions.

    Args:
        runtime: Starts the server.
        directory: Directory whose files are watched, those in it included.
        stop: Set by whoever wants it to end.
        on_ready: Called with the URL at each start.
        on_failure: Called when it could not start; the next change is another try.
        look_every_s: Seconds between two looks at the files.
    """
    while not stop.is_set():
        seen = snapshot(directory)  # before the start: a change while it starts counts
        try:
            server = runtime.start()
        except OpenEnvError as error:
            on_failure(error)
            _wait_for_change(directory, seen, stop, look_every_s)
            continue
        try:
            on_ready(server.url)
            _wait_for_change(directory, seen, stop, look_every_s)
        finally:
            server.close()


def snapshot(directory: Path) -> dict[str, int]:
    """When each watched file of a directory was last changed, in nanoseconds."""
    return dict(_stamps(str(directory)))


def _wait_for_change(directory: Path, seen: dict[str, int], stop: threading.Event, look_every_s: float) -> None:
    while not stop.wait(look_every_s):
        if snapshot(directory) != seen:
            return


def _stamps(directory: str) -> Iterator[tuple[str, int]]:
    try:
        entries = list(os.scandir(directory))
    except OSError:  # removed in between
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name in _SKIPPED:
            continue
        if entry.is_dir(follow_symlinks=False):
            if not os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):
                yield from _stamps(entry.path)
        elif entry.name.endswith(_SUFFIXES):
            try:
                yield entry.path, entry.stat().st_mtime_ns
            except OSError:  # removed in between: the next look shows it
                continue
