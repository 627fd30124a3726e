"""Untrusted programs as child processes, with stated guarantees.

``choose()`` finds the strongest level of this machine; its ``Sandbox`` starts programs:

    sandbox = choose()
    with sandbox.spawn([sys.executable, "-c", "print(1)"], limits=Limits(), stdout=write_end) as process:
        process.wait(10)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv.lazy import on_first_use

if TYPE_CHECKING:
    from openenv.sandbox.levels import Finding, Guarantee, Level
    from openenv.sandbox.limits import Limits
    from openenv.sandbox.paths import python_paths, system_paths
    from openenv.sandbox.probing import choose, probe
    from openenv.sandbox.process import Ended, SandboxedProcess
    from openenv.sandbox.spawning import WORKDIR, Sandbox

__all__ = [
    "WORKDIR",
    "Ended",
    "Finding",
    "Guarantee",
    "Level",
    "Limits",
    "Sandbox",
    "SandboxedProcess",
    "choose",
    "probe",
    "python_paths",
    "system_paths",
]

# On first use: the keeper is a part of this package that must stay small, for every sandbox is a fork of it.
_MODULES = {
    "WORKDIR": "spawning",
    "Ended": "process",
    "Finding": "levels",
    "Guarantee": "levels",
    "Level": "levels",
    "Limits": "limits",
    "Sandbox": "spawning",
    "SandboxedProcess": "process",
    "choose": "probing",
    "probe": "probing",
    "python_paths": "paths",
    "system_paths": "paths",
}

__getattr__ = on_first_use(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted(__all__)
