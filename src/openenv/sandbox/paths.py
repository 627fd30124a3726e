"""What of the host a program in a sandbox usually needs to see."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["python_paths", "system_paths"]

# Public in every installation, and programs look for them: the linker's cache, alternatives such as vi, time zone.
# No more than that: each is a mount, and every start waits for it.
_PUBLIC = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", *_PUBLIC)


def system_paths() -> Mapping[str, str]:
    """The programs and libraries of the system, host path to inside path; every sandbox has them, read-only."""
    return {path: path for path in _SYSTEM if os.path.exists(path)}


def python_paths(prefix: str | None = None) -> Mapping[str, str]:
    """What a Python needs to run, host path to inside path, for ``Sandbox.spawn(read_only=...)``.

    Args:
        prefix: A Python installation or virtual environment; ``None`` means that of this process.

    Returns:
        The prefix and what it rests on, itself inside at the same place. Nothing that ``system_paths`` holds already.
    """
    roots = [sys.prefix, sys.base_prefix, sys.exec_prefix] if prefix is None else [prefix, *_base(Path(prefix))]
    found: dict[str, str] = {}
    for root in roots:
        for place in (root, os.path.realpath(root)):
            if place != "/" and not place.startswith("/usr/") and place != "/usr":
                found[place] = place
    return found


def _base(prefix: Path) -> list[str]:
    """Where the Python of a virtual environment is installed."""
    python = prefix / "bin" / "python"
    real = Path(os.path.realpath(python))
    return [str(real.parent.parent)] if (prefix / "pyvenv.cfg").exists() and real.exists() else []
