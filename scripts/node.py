"""Finds a node of version 22 or later, which has a WebSocket, and prints where it is.

It is the machine's own, or else one that npm installs once, outside of the tree, in
``${XDG_CACHE_HOME:-~/.cache}/openenv/node-VERSION``.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OLDEST = 22
VERSION = "22.23.3"
"""The version that is installed where the machine's is too old."""


class NodeMissing(Exception):
    """There is no such node and none can be installed; the message says what to do."""


def cache() -> Path:
    """Where OpenEnv keeps what it installed for itself."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "openenv"


@contextmanager
def alone(made: Path) -> Iterator[None]:
    """Keep other processes from making it at the same time."""
    made.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{made}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def npm() -> str:
    """The npm of this machine.

    Raises:
        NodeMissing: It has none.
    """
    found = shutil.which("npm")
    if found is None:
        raise NodeMissing("npm is not installed; install it with: sudo apt install npm")
    return found


def major(node: str | Path) -> int:
    """The first number of the version of a node; 0 if it does not run."""
    try:
        done = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60)
    except OSError:
        return 0
    found = re.match(r"v(\d+)\.", done.stdout)
    return int(found[1]) if found else 0


def find() -> Path:
    """A node of version 22 or later.

    Raises:
        NodeMissing: There is none, and none could be installed.
    """
    own = shutil.which("node")
    if own is not None and major(own) >= OLDEST:
        return Path(own)
    made = cache() / f"node-{VERSION}"
    node = made / "node_modules" / "node" / "bin" / "node"
    with alone(made):
        if major(node) < OLDEST:
            _install(made)
    if major(node) < OLDEST:
        raise NodeMissing(f"node {VERSION} was installed in {made}, but does not run")
    return node


def _install(made: Path) -> None:
    command = npm()
    with tempfile.TemporaryDirectory(dir=made.parent) as temporary:
        place = ["--prefix", temporary, "--no-save", "--no-audit", "--no-fund", "--no-update-notifier"]
        done = subprocess.run(
            [command, "install", *place, f"node@{VERSION}"], capture_output=True, text=True, cwd=temporary
        )
        if done.returncode != 0:
            last = (done.stderr.strip() or "npm failed").splitlines()[-1]
            raise NodeMissing(f"node {VERSION} could not be installed with npm: {last}")
        shutil.rmtree(made, ignore_errors=True)
        shutil.copytree(temporary, made, symlinks=True)


def main() -> int:
    try:
        print(find())
    except (NodeMissing, OSError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
