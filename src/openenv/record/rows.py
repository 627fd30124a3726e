"""Events and runs as rows of the store's tables, and back."""

from __future__ import annotations

from typing import Any, NamedTuple

from openenv.errors import RecordError
from openenv.record.events import Event, Run
from openenv.record.payload import UNDECODABLE, UNENCODABLE, payload_of, payload_text

__all__ = ["EventRow", "event_of", "event_row", "run_of", "run_row"]


class EventRow(NamedTuple):
    """An event ready for the store. ``reward``, ``seed`` and ``status`` repeat what is inside the JSON, for queries."""

    run: str
    episode: str
    position: int  # the event's index; tuples have a method of that name
    kind: str
    at: float
    duration_s: float
    reward: float | None
    seed: str | None  # as text: a seed may be larger than SQLite's integers
    status: str | None
    request: str
    reply: str

    @property
    def size(self) -> int:
        """Rough size in memory, in bytes."""
        return len(self.request) + len(self.reply) + 1000


def event_row(event: Event) -> EventRow:
    """A copy of the event that does not change with its actions and observations.

    Raises:
        RecordError: Its request or reply has no JSON form.
    """
    try:
        return EventRow(
            event.run,
            event.episode,
            event.index,
            event.kind,
            event.at,
            event.duration_s,
            event.reward,
            None if event.seed is None else str(event.seed),
            event.status,
            payload_text(event.request),
            payload_text(event.reply),
        )
    except UNENCODABLE as error:
        raise RecordError(
            f"event {event.index} of episode {event.episode!r} has no JSON form ({error}); "
            "make its request and reply of JSON values, models, arrays and others that travel over the wire"
        ) from error


def event_of(row: tuple[Any, ...]) -> Event:
    """The event of a row (run, episode, index, kind, at, duration_s, request, reply).

    Raises:
        RecordError: The row is damaged.
    """
    run, episode, index, kind, at, duration_s, request, reply = row
    try:
        return Event(run, episode, index, kind, at, duration_s, payload_of(request), payload_of(reply))
    except UNDECODABLE as error:
        raise RecordError(
            f"event {index} of episode {episode!r} in run {run!r} is damaged ({error}); restore the store from a copy"
        ) from error


def run_row(run: Run) -> tuple[Any, ...]:
    """The row of a run: its fields in their order.

    Raises:
        RecordError: Its settings or versions have no JSON form.
    """
    try:
        texts = (None if run.seed is None else str(run.seed), payload_text(run.settings), payload_text(run.versions))
    except UNENCODABLE as error:
        raise RecordError(
            f"settings or versions of run {run.id!r} have no JSON form ({error}); "
            "make them of None, bool, int, float, str, list and dict"
        ) from error
    return run.id, run.started_at, run.ended_at, run.status, run.environment, run.agent, *texts


def run_of(row: tuple[Any, ...]) -> Run:
    """The run of a row.

    Raises:
        RecordError: The row is damaged.
    """
    id_, started_at, ended_at, status, environment, agent, seed, settings, versions = row
    try:
        return Run(
            id=id_,
            started_at=started_at,
            ended_at=ended_at,
            status=status,
            environment=environment,
            agent=agent,
            seed=None if seed is None else int(seed),
            settings=payload_of(settings),
            versions=payload_of(versions),
        )
    except UNDECODABLE as error:
        raise RecordError(f"run {id_!r} is damaged ({error}); restore the store from a copy") from error
