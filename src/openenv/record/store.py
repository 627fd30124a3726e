"""The event store: runs, episodes and events in one SQLite file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from openenv.errors import RecordError
from openenv.record.events import Event, Run, RunStatus
from openenv.record.file import connect, create_store, translated
from openenv.record.names import FILE_NAME
from openenv.record.rows import EventRow, event_of, event_row, run_of, run_row
from openenv.record.trajectory import EpisodeSummary

__all__ = ["EventStore"]

_RUN = "SELECT id, started_at, ended_at, status, environment, agent, seed, settings, versions FROM runs"
_NEWEST_FIRST = "ORDER BY started_at DESC, number DESC"
_NEWEST_IDS = "SELECT id FROM runs ORDER BY started_at DESC, number DESC LIMIT ?"
_INSERT_RUN = """
    INSERT INTO runs (id, started_at, ended_at, status, environment, agent, seed, settings, versions)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_INSERT_EPISODE = "INSERT INTO episodes (run, id) VALUES (?, ?) ON CONFLICT DO NOTHING"
_INSERT_EVENT = """
    INSERT INTO events (episode, position, kind, at, duration_s, reward, seed, status, request, reply)
    VALUES ((SELECT number FROM episodes WHERE run = ? AND id = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_SUMMARIES = """
    SELECT episodes.id,
        sum(events.kind = 'step'),
        total(events.reward),
        coalesce((SELECT status FROM events AS last WHERE last.episode = episodes.number AND status IS NOT NULL
            ORDER BY position DESC LIMIT 1), 'running'),
        (SELECT seed FROM events AS first WHERE first.episode = episodes.number AND position = 0),
        min(events.at),
        max(events.at + events.duration_s) - min(events.at)
    FROM episodes JOIN events ON events.episode = episodes.number
    WHERE episodes.run = ? GROUP BY episodes.number ORDER BY episodes.number"""
_EVENTS = """
    SELECT runs.id, episodes.id, position, kind, at, duration_s, request, reply
    FROM runs JOIN episodes ON episodes.run = runs.number JOIN events ON events.episode = episodes.number
    WHERE runs.number = ?1 AND (?2 IS NULL OR episodes.id = ?2)
    ORDER BY episodes.number, position"""
_SHOWN = 5  # candidates in a message


class EventStore:
    """The events of many runs, in the file ``events.sqlite`` of a directory.

    Any number of processes read while one writes; each reading sees what was committed when it began. One object may
    be used from many threads. What SQLite raises, this raises as ``RecordError`` with the path and the remedy.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float) -> None:
        """Use ``EventStore.open``."""
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._lock = threading.Lock()  # of the writing connection
        self._writing: sqlite3.Connection | None = None
        self._closed = False

    @classmethod
    def open(
        cls, directory: str | os.PathLike[str], *, create: bool = False, busy_timeout_s: float = 10.0
    ) -> EventStore:
        """Open the store of a directory.

        Args:
            directory: Where ``events.sqlite`` is.
            create: Make the directory and the store if they are not there. Without it an existing store is only read
                until something is written.
            busy_timeout_s: How long to wait for another process that is writing, in seconds.

        Raises:
            RecordError: There is no store, or it is of a newer version, or it cannot be read (with
                ``create``: written).
        """
        path = Path(directory) / FILE_NAME
        store = cls(path, busy_timeout_s=busy_timeout_s)
        if create:
            create_store(path, busy_timeout_s=busy_timeout_s)
            store._writing = connect(path, write=True, busy_timeout_s=busy_timeout_s)
        else:
            with store._reading():
                pass  # the connection checks what the file is
        return store

    def close(self) -> None:
        """Close the store; once is enough, more do no harm."""
        with self._lock, translated(self.path):
            self._closed = True
            if self._writing is not None:
                self._writing.close()
                self._writing = None

    def __enter__(self) -> EventStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Writing -------------------------------------------------------------------------------------

    def begin_run(self, run: Run) -> None:
        """Add a run.

        Raises:
            RecordError: A run has that id already, or the store cannot be written.
        """
        row = run_row(run)
        with self._transaction() as connection:
            if connection.execute("SELECT 1 FROM runs WHERE id = ?", [run.id]).fetchone():
                raise RecordError(f"run {run.id!r} is in {self.path} already; choose another id")
            connection.execute(_INSERT_RUN, row)

    def end_run(self, run_id: str, status: RunStatus, ended_at: float) -> None:
        """Say how a run ended, and when (seconds since 1970, UTC).

        Raises:
            RecordError: There is no such run, or the store cannot be written.
        """
        with self._transaction() as connection:
            number = self._run_number(connection, run_id)
            connection.execute("UPDATE runs SET status = ?, ended_at = ? WHERE number = ?", [status, ended_at, number])

    def append(self, events: Iterable[Event]) -> None:
        """Store all of these events, or none.

        Raises:
            RecordError: An event has no JSON form, is stored already or belongs to no run, or the store cannot be
                written.
        """
        self.append_rows([event_row(event) for event in events])

    def append_rows(self, rows: list[EventRow]) -> None:
        """``append`` for events that were made into rows before."""
        if not rows:
            return
        storing = rows[0]

        def values(numbers: dict[str, int]) -> Iterator[tuple[Any, ...]]:
            nonlocal storing
            for storing in rows:
                yield numbers[storing.run], *storing[1:]

        with self._transaction() as connection:
            numbers = {run: self._run_number(connection, run) for run in dict.fromkeys(row.run for row in rows)}
            episodes = dict.fromkeys((numbers[row.run], row.episode) for row in rows)
            connection.executemany(_INSERT_EPISODE, episodes)
            try:
                connection.executemany(_INSERT_EVENT, values(numbers))
            except sqlite3.IntegrityError as error:
                name = f"event {storing.position} of episode {storing.episode!r} in run {storing.run!r}"
                if error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_UNIQUE:
                    why = "is stored already; number the events of an episode upwards, one number each"
                else:
                    why = f"does not fit ({error}); index is 0 or more, kind one of reset, step, error, end"
                raise RecordError(f"{name} {why}", details={"path": str(self.path)}) from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self.path):
            self._refuse_if_closed()
            if self._writing is None:
                self._writing = connect(self.path, write=True, busy_timeout_s=self._busy_timeout_s)
            connection = self._writing
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:  # whatever it was, also Ctrl-C, nothing of it may stay
                with contextlib.suppress(sqlite3.Error):  # SQLite rolled back already, as on a full disk
                    connection.execute("ROLLBACK")
                raise

    # Reading -------------------------------------------------------------------------------------

    def runs(self) -> list[Run]:
        """All runs, newest first."""
        with self._reading() as connection:
            return [run_of(row) for row in connection.execute(f"{_RUN} {_NEWEST_FIRST}")]

    def run(self, prefix: str) -> Run:
        """The run with this id, or the only one whose id begins like this.

        Raises:
            RecordError: There is none, or several; the message names candidates.
        """
        with self._reading() as connection:
            found = connection.execute(
                f"{_RUN} WHERE substr(id, 1, ?) = ? {_NEWEST_FIRST}",
                [len(prefix), prefix],
            ).fetchall()
            exact = [row for row in found if row[0] == prefix]
            if len(exact) == 1 or len(found) == 1:
                return run_of((exact or found)[0])
            if found:
                raise RecordError(f"several runs begin with {prefix!r}: {_listed(found)}; give more of the id")
            raise self._no_run(connection, prefix)

    def episodes(self, run_id: str) -> Iterator[EpisodeSummary]:
        """The episodes of a run in the order in which they began, read as they are asked for.

        Raises:
            RecordError: There is no such run (raised when the first is asked for).
        """
        with self._reading() as connection:
            for row in connection.execute(_SUMMARIES, [self._run_number(connection, run_id)]):
                episode, length, return_, status, seed, started_at, duration_s = row
                yield EpisodeSummary(
                    episode, length, return_, status, None if seed is None else int(seed), started_at, duration_s
                )

    def events(self, run_id: str, episode: str | None = None) -> Iterator[Event]:
        """The events of a run, or of one of its episodes, read as they are asked for.

        They come episode by episode, in the order in which those began, and by index within each.

        Raises:
            RecordError: There is no such run or episode (raised when the first is asked for).
        """
        with self._reading() as connection:
            number = self._run_number(connection, run_id)
            empty = True
            for row in connection.execute(_EVENTS, [number, episode]):
                empty = False
                yield event_of(row)
            if empty and episode is not None:
                raise RecordError(f"run {run_id!r} has no episode {episode!r}; episodes() lists those it has")

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        # A connection of its own for each reading: it is not disturbed by what the writing one does meanwhile.
        self._refuse_if_closed()
        with (
            translated(self.path),
            contextlib.closing(connect(self.path, write=False, busy_timeout_s=self._busy_timeout_s)) as connection,
        ):
            yield connection

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise RecordError(f"the event store {self.path} was closed; open it again with EventStore.open")

    def _run_number(self, connection: sqlite3.Connection, run_id: str) -> int:
        found = connection.execute("SELECT number FROM runs WHERE id = ?", [run_id]).fetchone()
        if found is None:
            raise self._no_run(connection, run_id)
        number: int = found[0]
        return number

    def _no_run(self, connection: sqlite3.Connection, run_id: str) -> RecordError:
        newest = connection.execute(_NEWEST_IDS, [_SHOWN]).fetchall()
        has = f"its newest: {_listed(newest)}" if newest else "it has none yet"
        return RecordError(f"no run {run_id!r} in {self.path}; {has}", details={"path": str(self.path)})


def _listed(rows: list[Any]) -> str:
    return ", ".join(row[0] for row in rows[:_SHOWN]) + (", …" if len(rows) > _SHOWN else "")
