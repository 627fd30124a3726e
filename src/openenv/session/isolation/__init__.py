"""Environments in worker processes: a crash, a leak or an endless loop takes down its own worker and nothing else.

Linux only. The server asks a fork server, started beside it, for workers; the fork server has imported what is served
once, forks a worker within milliseconds, and sees to it that none outlives the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv.lazy import on_first_use

if TYPE_CHECKING:
    from openenv.session.isolation.death import WorkerDied
    from openenv.session.isolation.host import WorkerHost
    from openenv.session.isolation.reference import FactoryReference
    from openenv.session.isolation.source import WorkerOptions, WorkerSource
    from openenv.session.isolation.supervisor import Supervisor

__all__ = ["FactoryReference", "Supervisor", "WorkerDied", "WorkerHost", "WorkerOptions", "WorkerSource"]

# On first use: most servers have no worker processes.
_MODULES = {
    "FactoryReference": "reference",
    "Supervisor": "supervisor",
    "WorkerDied": "death",
    "WorkerHost": "host",
    "WorkerOptions": "source",
    "WorkerSource": "source",
}

__getattr__ = on_first_use(__name__, _MODULES)
