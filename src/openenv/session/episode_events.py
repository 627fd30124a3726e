"""The events of the running episode, as the journal has them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from openenv.record import Answered, Event, Position
from openenv.session.session import Session

__all__ = ["events_of"]


async def events_of(session: Session) -> list[Event]:
    """The events of a session's running episode so far, its reset first; none where no journal is kept.

    An event's ``episode`` and ``index`` are those of the ``Moved`` that ``Session.watch`` tells: who watches before it
    asks misses nothing, and can tell what it has twice.

    It reads all files of the journal from that in which the episode began, in a thread: as long as the server's other
    sessions have written much since, that takes its time (some 0.1 s for 100,000 answers).

    Raises:
        RecordError: The journal has failed, or cannot be read.
    """
    chronicle = session.episode.chronicle
    if chronicle is None:
        return []
    failure = await chronicle.settled()
    if failure is not None:
        raise failure
    return await asyncio.to_thread(_read, chronicle.directory, session.id, chronicle.begun_at)


def _read(directory: Path, session_id: str, begun_at: Position) -> list[Event]:
    from openenv.record.followed import JournalEpisode  # here: most servers are not asked
    from openenv.record.segments import read_segment, segments_of, split

    first, _ = split(begun_at)
    episode: JournalEpisode | None = None
    events: list[Event] = []
    for segment in segments_of(directory):
        if segment.number < first:
            continue
        for position, entry in read_segment(segment):
            if type(entry) is not Answered or position < begun_at or entry.session != session_id:
                continue
            if entry.kind == "close":
                continue
            if episode is None or entry.kind == "reset":  # another one has begun meanwhile
                episode, events = JournalEpisode(entry.episode), []
            events.append(episode.event("", entry))
    return events
