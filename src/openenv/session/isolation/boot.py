"""The command line of our own processes: a module's ``main``, with the import path of the process that starts it."""

from __future__ import annotations

import json
import os
import sys

from openenv.sandbox import kernel

__all__ = ["command", "die_with"]

# The child imports what this process would import, wherever it was started; -P keeps it from anything else until then.
_BOOT = """import importlib, json, sys
sys.path[:] = json.loads(sys.argv.pop(1))
importlib.import_module(sys.argv.pop(1)).main()"""


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs ``main`` of a module, which finds the arguments in ``sys.argv``."""
    path = json.dumps([os.path.abspath(entry) for entry in sys.path])
    return [sys.executable, "-P", "-c", _BOOT, path, module, *arguments]


def die_with(parent: int, number: int) -> None:
    """Have the kernel send this process a signal when its parent, or the parent's thread that started it, ends."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it was gone before
        os._exit(1)
