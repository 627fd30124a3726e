"""A journal, read as an event store with one run."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import structs

from openenv.errors import RecordError
from openenv.record.entries import Answered, Began, SessionOpened, Stopped
from openenv.record.events import Event, Run, RunStatus
from openenv.record.followed import EpisodeFollower, JournalEpisode
from openenv.record.names import FILE_NAME
from openenv.record.rows import EventRow
from openenv.record.segments import EntryReader, Segment, read_segment, segments_of
from openenv.record.store import EventStore
from openenv.record.trajectory import EpisodeSummary, Trajectory

__all__ = ["JournalStore", "open_recorded"]

_AGENT = "clients"  # a server does not know what plays on it


def open_recorded(directory: str | os.PathLike[str]) -> EventStore:
    """What was recorded in a directory, to be read: its event store, or the journal that a server wrote there.

    The journals of a server with several workers, one in each directory ``worker-0``, ``worker-1``, …, are read as one.

    Raises:
        RecordError: There is neither, or both, or it cannot be read.
    """
    places = [Path(directory), *sorted(Path(directory).glob("worker-*"), key=lambda one: (len(one.name), one.name))]
    parts = [segments for place in places if (segments := segments_of(place))]
    if not parts:
        return EventStore.open(directory)
    if (Path(directory) / FILE_NAME).exists():
        raise RecordError(
            f"{directory} has an event store and a journal; move one of them to a directory of its own",
            details={"path": str(directory)},
        )
    return JournalStore(Path(directory), parts)


@dataclass
class _Index:
    """Where the events of each episode are.

    Attributes:
        run: The journal's run.
        positions: Of the answers of each episode, in order; the episodes in the order in which they began.
        part: In which journal an episode is, where that is not the first.
        over: Names of those to which nothing more can come.
    """

    run: Run
    positions: dict[str, array[int]] = field(default_factory=dict)
    part: dict[str, int] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)


class JournalStore(EventStore):
    """A journal, or several, as they were when first read. Nothing can be written to them: the server does that.

    Takes 8 bytes of memory an event, and an entry for each episode.
    """

    def __init__(self, directory: Path, parts: list[list[Segment]]) -> None:
        """Use ``open_recorded``."""
        super().__init__(directory / parts[0][0].path.name, busy_timeout_s=0.0)
        self._parts = parts
        self._readers = [EntryReader(segments[0].path.parent) for segments in parts]
        self._found: _Index | None = None

    def close(self) -> None:
        """Close the journal; once is enough, more do no harm."""
        for reader in self._readers:
            reader.close()
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
        reader = self._readers[index.part.get(name, 0)]
        for position in index.positions[name]:
            entry = reader.read(position)
            assert isinstance(entry, Answered)
            yield episode.event(index.run.id, entry)
        if (end := episode.end(index.run.id)) is not None:
            yield end

    @property
    def _index(self) -> _Index:
        self._refuse_if_closed()
        if self._found is None:
            self._found = _indexed(self._parts)
        return self._found

    def _check(self, run_id: str) -> None:
        if self.run(run_id).id != run_id:
            raise RecordError(f"no run {run_id!r} in {self.path.parent}; its only one is {self._index.run.id}")

    def _read_only(self) -> RecordError:
        return RecordError(f"{self.path.parent} is a server's journal, which is only read; record into a directory")


def _indexed(parts: list[list[Segment]]) -> _Index:
    names: dict[str, int] = {}
    index = _Index(Run(id="journal", started_at=0.0, environment="", agent=_AGENT))
    began_at: dict[str, float] = {}
    runs = [_index_part(index, number, parts[number], names, began_at) for number in range(len(parts))]
    found = [run for run in runs if run is not None]
    if found:
        newest = max(found, key=lambda run: run.started_at)
        is_complete = all(run.status == "complete" for run in found)
        ends = [run.ended_at for run in found if run.ended_at is not None]
        index.run = structs.replace(
            newest, status="complete" if is_complete else "running", ended_at=max(ends) if is_complete else None
        )
    if len(parts) > 1:
        index.positions = {name: index.positions[name] for name in sorted(index.positions, key=began_at.__getitem__)}
    return index


def _index_part(
    index: _Index, number: int, segments: list[Segment], names: dict[str, int], began_at: dict[str, float]
) -> Run | None:
    """Take one journal into the index; the run that it says it is, if it says so."""
    follower = EpisodeFollower(names)
    last: Began | None = None
    served = ""  # what the first session says it plays
    stopped: Stopped | None = None
    for segment in segments:
        for position, entry in read_segment(segment):
            over, episode = follower.follow(entry)
            if over is not None:
                index.over.add(over.name)
            if episode is not None and isinstance(entry, Answered):
                if episode.name not in index.positions:
                    index.positions[episode.name] = array("Q")
                    began_at[episode.name] = entry.at
                    if number:
                        index.part[episode.name] = number
                index.positions[episode.name].append(position)
            elif isinstance(entry, Began):
                last = entry
            elif isinstance(entry, SessionOpened):
                served = served or str(entry.environment.get("name", ""))
            stopped = entry if isinstance(entry, Stopped) else None
    if last is None:
        return None
    return Run(
        id=last.run,
        started_at=last.started_at,
        ended_at=stopped.at if stopped else None,
        status="complete" if stopped else "running",
        environment=last.environment or served or "environment",
        agent=_AGENT,
        settings={"journal": True},
        versions=last.versions,
    )
