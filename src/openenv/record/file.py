"""The store's file: its tables, its version, and what SQLite's failures mean to a user."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from openenv.errors import RecordError

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "connect", "create_store", "translated"]

APPLICATION_ID = 0x4F454E56  # "OENV": tells this file from those of other programs
SCHEMA_VERSION = 1  # in user_version; raise it with every change of a table

# Small columns come first: queries that leave request and reply alone never read those.
_TABLES = (
    """CREATE TABLE runs (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        started_at REAL NOT NULL,
        ended_at REAL,
        status TEXT NOT NULL CHECK (status IN ('running', 'complete', 'interrupted', 'failed')),
        environment TEXT NOT NULL,
        agent TEXT NOT NULL,
        seed TEXT,
        settings TEXT NOT NULL,
        versions TEXT NOT NULL
    )""",
    # `number` rises, so it is the order in which episodes began.
    """CREATE TABLE episodes (
        number INTEGER PRIMARY KEY,
        run INTEGER NOT NULL REFERENCES runs (number),
        id TEXT NOT NULL,
        UNIQUE (run, id)
    )""",
    """CREATE TABLE events (
        number INTEGER PRIMARY KEY,
        episode INTEGER NOT NULL REFERENCES episodes (number),
        position INTEGER NOT NULL CHECK (typeof(position) = 'integer' AND position >= 0),
        kind TEXT NOT NULL CHECK (kind IN ('reset', 'step', 'error', 'end')),
        at REAL NOT NULL,
        duration_s REAL NOT NULL,
        reward REAL,
        seed TEXT,
        status TEXT,
        request TEXT NOT NULL,
        reply TEXT NOT NULL,
        UNIQUE (episode, position)
    )""",
)

_NO_ACCESS = "it cannot be opened; check that it is a file and that you may read and write it and its directory"
_NO_ROOM = "the disk is full or fails; free some space, or record into a directory on another disk"
_UNFIT = "a value does not fit its column; check the fields of the run or event"
_OTHER = "it cannot be used; check the disk, or restore it from a copy"
_DAMAGED = "it is damaged or no event store; move it away, or restore it from a copy"
_MEANING = {
    sqlite3.SQLITE_FULL: _NO_ROOM,
    sqlite3.SQLITE_IOERR: _NO_ROOM,
    sqlite3.SQLITE_CANTOPEN: _NO_ACCESS,
    sqlite3.SQLITE_PERM: _NO_ACCESS,
    sqlite3.SQLITE_READONLY: "it is read-only; make it and its directory writable, or record into another directory",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_BUSY: "another process keeps it locked; wait for that or end it, or record into another directory",
    sqlite3.SQLITE_LOCKED: "another process keeps it locked; wait for that or end it, or record into another directory",
    sqlite3.SQLITE_CONSTRAINT: _UNFIT,
}


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise what SQLite raises as a ``RecordError`` that says how to mend it."""
    try:
        yield
    except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:  # the last two: a value SQLite cannot take
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None:
            meaning = _MEANING.get(_kind(code), _OTHER)
        else:  # Python's side of it: a value that it could not hand over, or not read
            meaning = _OTHER if isinstance(error, sqlite3.OperationalError) else _UNFIT
        raise RecordError(f"event store {path}: {meaning} ({error})", details={"path": str(path)}) from error


def connect(path: Path, *, write: bool, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection to an existing store.

    Raises:
        RecordError: There is no store, or it is of a newer version, or it cannot be opened.
    """
    _find(path)
    with translated(path):
        connection = _open(path, "mode=rw" if write else "mode=ro", busy_timeout_s)
        try:
            if not write:
                connection = _readable(connection, path, busy_timeout_s)
            _check(connection, path)
            if write:
                _prepare(connection)
        except BaseException:  # also on Ctrl-C: SQLite's locks go with the connection
            connection.close()
            raise
        return connection


def create_store(path: Path, *, busy_timeout_s: float) -> None:
    """Create the store at this path unless one is there; several processes may do so at once.

    Raises:
        RecordError: The directory cannot be made, or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(
            f"cannot make the directory {path.parent} for events ({error.strerror}); name one that you may write to",
            details={"path": str(path)},
        ) from error
    with translated(path), contextlib.closing(_open(path, "mode=rwc", busy_timeout_s)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            for table in _TABLES:
                connection.execute(table)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")


def _find(path: Path) -> None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        reason = f"no events in {path.parent}; record some there with: openenv rollout ENV --out {path.parent}"
    except OSError as error:
        reason = f"event store {path}: {_NO_ACCESS} ({error.strerror})"
    else:
        if stat.S_ISREG(found.st_mode):
            return
        reason = f"event store {path}: {_NO_ACCESS} (it is no file)"
    raise RecordError(reason, details={"path": str(path)})


def _open(path: Path, mode: str, busy_timeout_s: float) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,  # transactions begin and end where the code says so
        check_same_thread=False,  # the store's lock sees to it
    )


def _readable(connection: sqlite3.Connection, path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """The connection, or one that can also read a store on a medium that nobody can write to."""
    try:
        connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.OperationalError as error:
        # Readers of a write-ahead log make a file beside it. Where nobody can and there is no log, the store stays as
        # it is, and SQLite has to be told so.
        if (
            _kind(error.sqlite_errorcode) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
            or os.access(path.parent, os.W_OK)
            or os.path.exists(f"{path}-wal")
        ):
            raise
        connection.close()
        return _open(path, "immutable=1", busy_timeout_s)
    return connection


def _kind(code: int) -> int:
    return code & 0xFF  # the rest are its details


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID or version < 1:
        raise RecordError(
            f"{path} is no event store of OpenEnv; name another directory, or move the file away",
            details={"path": str(path)},
        )
    if version > SCHEMA_VERSION:
        raise RecordError(
            f"{path} was written by a newer OpenEnv (store version {version}, this one reads up to {SCHEMA_VERSION}); "
            "update it with: pip install -U openenv",
            details={"path": str(path), "version": version},
        )


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may take the last commits, a killed process none
    # Readers go on while a writer writes. Where it cannot be switched on now, the next writer tries again; until then
    # the two wait for each other, which is slower but no less right.
    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode = WAL")
