"""What becomes of sessions whose environment is lost, and of environments that do not let go."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from openenv.errors import CapacityReached, OpenEnvError
from openenv.session.hosting.host import Host
from openenv.session.hosting.placement import Placement
from openenv.session.lifetime.builder import Builder
from openenv.session.lifetime.places import SessionPlaces

__all__ = ["PATIENCE_S", "Rescue"]

PATIENCE_S = 5.0
"""Seconds that a session waits for an environment that hangs to let go, where no other may be built before."""

log = logging.getLogger("openenv.session")


class Rescue:
    """Gives a session another environment. One that hangs in a call keeps a place until that call returns.

    Args:
        builder: Builds environments.
        places: Whose places they take.

    Attributes:
        places: Those places.
    """

    def __init__(self, builder: Builder, places: SessionPlaces) -> None:
        self._builder = builder
        self.places = places
        self._stranded: set[asyncio.Task[None]] = set()
        self._dropped: set[asyncio.Task[None]] = set()

    @property
    def stuck(self) -> int:
        """Environments that hang in a call."""
        return len(self._stranded)

    async def rebuild(self) -> Host:
        """A fresh environment for a session that lost its own and keeps its place.

        Raises:
            CapacityReached: As many as there are places hang already.
            FactoryFailed: It could not be built.
        """
        if self.stuck >= self.places.capacity:  # one may just be coming back
            await asyncio.wait(self._stranded, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if self.stuck >= self.places.capacity:
            raise CapacityReached(
                f"CAPACITY_REACHED: {self.stuck} environments hang in a call that does not return; "
                "serve with isolation='process', where such a call can be ended",
                details=self.places.full().details,
            )
        return await self._builder.build()

    def has_better(self, host: Host) -> bool:
        """Whether an environment on a thread had better be one in the server's, where the class has proven fast since.

        Of a class that says it is deterministic a fresh one begins the same episode. Others stay where they are, as
        does a live episode: what an environment holds may belong to its thread.
        """
        return host.placement is Placement.THREAD and self._builder.prefers_inline

    def strand(self, host: Host, call: asyncio.Task[Any]) -> None:
        """Take over an environment that hangs in a call."""
        self.places.keep(1)
        log.error("a call of an environment took longer than it may, and does not end; it keeps a place")
        task = asyncio.create_task(self._wait(host, call))
        self._stranded.add(task)
        task.add_done_callback(self._stranded.discard)

    def drop(self, host: Host) -> None:
        """Close an environment that no session wants, or that is dead, in its own time."""
        task = asyncio.create_task(self._builder.end(host))
        self._dropped.add(task)
        task.add_done_callback(self._dropped.discard)

    async def finish(self) -> None:
        """Wait for those that are being closed."""
        if self._dropped:
            await asyncio.wait(self._dropped)

    async def _wait(self, host: Host, call: asyncio.Task[Any]) -> None:
        try:
            await asyncio.wait({call})
            if not call.cancelled():
                call.exception()  # nobody waits for it any more
            await host.close()
        except OpenEnvError:
            log.exception("closing an environment that had hung failed")
        finally:
            self.places.give_back()
