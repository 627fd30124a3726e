"""The environment lock of one server, found out when somebody asks."""

from __future__ import annotations

import asyncio
from typing import Any

from openenv.environment import EnvironmentPlan
from openenv.session.served.spec import EnvironmentSpec

__all__ = ["ServedLock"]


class ServedLock:
    """The lock of one server: found out in a thread when it is first asked for, then kept.

    Args:
        spec: What is served.
    """

    def __init__(self, spec: EnvironmentSpec) -> None:
        self._spec = spec
        self._found: dict[bool, asyncio.Task[dict[str, Any]]] = {}  # by whether the class was known by then

    async def read(self, plan: EnvironmentPlan | None = None) -> dict[str, Any]:
        """The lock; see ``environment_lock``. Never raises of its own.

        Args:
            plan: That of the class, once it is known; where a function is served, its first environment tells it.
        """
        plan = plan or self._spec.plan
        key = plan is not None or True in self._found
        if key not in self._found:
            self._found[key] = asyncio.create_task(asyncio.to_thread(_lock_of, self._spec, plan))
        return await asyncio.shield(self._found[key])


def _lock_of(spec: EnvironmentSpec, plan: EnvironmentPlan | None) -> dict[str, Any]:
    from openenv.session.served import lock  # here: what it needs to know of packages is slow to import

    return lock.environment_lock(spec, plan)
