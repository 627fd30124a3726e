"""The events of a rollout on their way into the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from openenv.errors import RecordError
from openenv.record import EndStatus, Event, EventWriter, Kind
from openenv.types import StepResult

__all__ = ["EpisodeLog", "told"]

_MOST_PENDING = 20_000  # events; a session that finds more waits for the disk
_TRIES = 100


class EpisodeLog:
    """Numbers the events of one episode and hands them to the writer.

    Args:
        writer: Where they go.
        run: Id of the run.
        episode: Id of the episode.
        now: Seconds since 1970.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        writer: EventWriter,
        run: str,
        episode: str,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._writer, self._run, self._episode = writer, run, episode
        self._now, self._clock = now, clock
        self._at = self._since = 0.0
        self._index = 0

    def start(self) -> None:
        """A request is about to be made; the next event's time runs from here."""
        self._at, self._since = self._now(), self._clock()

    async def add(self, kind: Kind, request: Any, reply: Any) -> None:
        """Record what came of the request. Waits only where the disk is far behind.

        Raises:
            RecordError: It cannot be stored.
        """
        event = self._event(kind, self._clock() - self._since, request, reply)
        if self._writer.pending > _MOST_PENDING:
            await asyncio.to_thread(self._writer.flush)
        for _ in range(_TRIES):  # after a flush, other sessions may be faster
            try:
                self._writer.write(event)
            except RecordError as error:
                refusal = error
            else:
                self._index += 1
                return
            # Too much is waiting, or the store failed, which flush raises. An event without a JSON form ends here too.
            if self._writer.pending == 0:
                break
            await asyncio.to_thread(self._writer.flush)
        raise refusal

    def end(self, status: EndStatus, **facts: Any) -> None:
        """Record how the episode finished; never waits, so a cancelled episode can still say so."""
        self._at = self._now()
        self._writer.write(self._event("end", 0.0, {}, {"status": status, **facts}))
        self._index += 1

    def _event(self, kind: Kind, duration_s: float, request: Any, reply: Any) -> Event:
        return Event(self._run, self._episode, self._index, kind, self._at, duration_s, request, reply)


def told(result: StepResult[dict[str, Any]]) -> dict[str, Any]:
    """An answer as an event holds it."""
    return {
        "observation": result.observation,
        "reward": result.reward,
        "done": result.done,
        "terminated": result.terminated,
        "truncated": result.truncated,
        "metadata": result.metadata,
    }
