"""Sessions that end while nobody waits for it, and what else is done besides."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from openenv.errors import OpenEnvError
from openenv.session.episode.departed import Ending
from openenv.session.session import Session

__all__ = ["Endings", "stopped"]

_LAST_WORDS_S = 1.0  # that clients are given to take the notices of a server that stops

log = logging.getLogger("openenv.session")


class Endings:
    """Ends sessions in the background; a failing ``close`` is logged.

    Args:
        name: What is served, for the log.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._background: set[asyncio.Task[Any]] = set()

    async def end(self, session: Session, ending: Ending) -> None:
        """End a session and wait for it."""
        await self._logged(session.begin_close(ending))

    def end_soon(self, session: Session, ending: Ending) -> None:
        """End a session without waiting for it. It is said to be ending from now on."""
        self.in_background(self._logged(session.begin_close(ending)))

    def in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something that nobody waits for, but a stopping server."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def finish(self) -> None:
        """Wait for all that, unless it does not come to an end."""
        while self._background:
            done, _ = await asyncio.wait(self._background, timeout=_LAST_WORDS_S)
            if not done:
                break

    async def _logged(self, closing: asyncio.Task[None]) -> None:
        try:
            await asyncio.shield(closing)
        except OpenEnvError:
            log.exception("closing an environment of %s failed; its session has ended", self._name)


def stopped(session: Session) -> Ending:
    """How a session ends when the server stops: not at all, if another server can go on with it."""
    return Ending.SUSPENDED if session.can_come_back else Ending.SERVER_STOPPED
