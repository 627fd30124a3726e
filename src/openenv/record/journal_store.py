"""A journal, read as an event store with one run."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from openenv.errors import RecordError
from openenv.record.entries import Answered, Began, SessionOpened, Stopped
from openenv.record.events import Event, Run, RunStatus
from openenv.record.file import FILE_NAME
from openenv.record.journal_events import EpisodeFollower, JournalEpisode
from openenv.record.rows import EventRow
from openenv.record.segments import EntryReader, Segment, read_segment, segments_of
from openenv.record.store import EventStore
from openenv.record.trajectory import EpisodeSummary, Trajectory

__all__ = ["JournalStore", "open_recorded"]

_AGENT = "clients"  # a server does not know what plays on it


def open_recorded(directory: str | os.PathLike[str]) -> EventStore:
    """What was recorded in a directory, to be read: its event store, or the journal that a server wrote there.

    Raises:
        RecordError: There is neither, or both, or it cannot be read.
    """
    segments = segments_of(Path(directory))
    if not segments:
        return EventStore.open(directory)
    if (Path(directory) / FILE_NAME).exists():
        raise RecordError(
            f"{directory} has an event store and a journal; move one of them to a directory of its own",
            details={"path": str(directory)},
        )
    return JournalStore(segments)


@dataclass
class _Index:
    """Where the events of each episode are.

    Attributes:
        run: The journal's run.
        positions: Of the answers of each episode, in order; the episodes in the order in which they began.
        over: Names of those to which nothing more can come.
    """

    run: Run
    positions: dict[str, array[int]] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)


class JournalStore(EventStore):
    """A journal as it was when it was first read. Nothing can be written to it: the server does that.

    Takes 8 bytes of memory an event, and an entry for each episode.
    """

    def __init__(self, segments: list[Segment]) -> None:
        """Use ``open_recorded``."""
        super().__init__(segments[0].path, busy_timeout_s=0.0)
        self._segments = segments
        self._reader = EntryReader(self.path.parent)
        self._found: _Index | None = None

    def close(self) -> None:
        """Close the journal; once is enough, more do no harm."""
        self._reader.close()
        super().close()

    def begin_run(self, run: Run) -> None:
        """Raises RecordError."""
        raise self._read_only()

    def end_run(self, run_id: str, status: RunStatus, ended_at: float) -> None:
        """Raises RecordError."""
        raise self._read_only()

    def append_rows(self, rows: list[EventRow]) -> None:
        """Raises RecordError."""
        raise self._read_only()

    def runs(self) -> list[Run]:
        """The journal's run. It is ``complete`` if the last server closed it in order, else ``running``."""
        return [self._index.run]

    def run(self, prefix: str) -> Run:
        """The journal's run, if its id begins like this.

        Raises:
            RecordError: It does not.
        """
        run = self._index.run
        if not run.id.startswith(prefix):
            raise RecordError(
                f"no run {prefix!r} in {self.path.parent}; its only one is {run.id}", details={"path": str(self.path)}
            )
        return run

    def episodes(self, run_id: str) -> Iterator[EpisodeSummary]:
        """The episodes in the order in which they began, read as they are asked for.

        Raises:
            RecordError: There is no such run (raised when the first is asked for).
        """
        self._check(run_id)
        for name in self._index.positions:
            yield Trajectory.of(self._events_of(name)).summary

    def events(self, run_id: str, episode: str | None = None) -> Iterator[Event]:
        """The events of the run, or of one of its episodes, read as they are asked for.

        They come episode by episode, in the order in which those began, and by index within each.

        Raises:
            RecordError: There is no such run or episode (raised when the first is asked for).
        """
        self._check(run_id)
        positions = self._index.positions
        if episode is not None and episode not in positions:
            raise RecordError(f"run {run_id!r} has no episode {episode!r}; episodes() lists those it has")
        for name in positions if episode is None else [episode]:
            yield from self._events_of(name)

    def _events_of(self, name: str) -> Iterator[Event]:
        index = self._index
        episode = JournalEpisode(name)
        episode.is_over = name in index.over
        for position in index.positions[name]:
            entry = self._reader.read(position)
            assert isinstance(entry, Answered)
            yield episode.event(index.run.id, entry)
        if (end := episode.end(index.run.id)) is not None:
            yield end

    @property
    def _index(self) -> _Index:
        self._refuse_if_closed()
        if self._found is None:
            self._found = _indexed(self._segments)
        return self._found

    def _check(self, run_id: str) -> None:
        if self.run(run_id).id != run_id:
            raise RecordError(f"no run {run_id!r} in {self.path.parent}; its only one is {self._index.run.id}")

    def _read_only(self) -> RecordError:
        return RecordError(f"{self.path.parent} is a server's journal, which is only read; record into a directory")


def _indexed(segments: list[Segment]) -> _Index:
    follower = EpisodeFollower()
    index = _Index(Run(id="journal", started_at=0.0, environment="", agent=_AGENT))
    first: Began | None = None
    last: Began | None = None
    served = ""  # what the first session says it plays
    stopped: Stopped | None = None
    for segment in segments:
        for position, entry in read_segment(segment):
            over, episode = follower.follow(entry)
            if over is not None:
                index.over.add(over.name)
            if episode is not None:
                index.positions.setdefault(episode.name, array("Q")).append(position)
            elif isinstance(entry, Began):
                first, last = first or entry, entry
            elif isinstance(entry, SessionOpened):
                served = served or str(entry.environment.get("name", ""))
            stopped = entry if isinstance(entry, Stopped) else None
    if first is not None and last is not None:
        index.run = Run(
            id=last.run,
            started_at=last.started_at,
            ended_at=stopped.at if stopped else None,
            status="complete" if stopped else "running",
            environment=last.environment or served or "environment",
            agent=_AGENT,
            settings={"journal": True},
            versions=last.versions,
        )
    return index
