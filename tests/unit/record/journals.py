"""Journals and their entries for the tests of the record."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openenv.record import Answered, AnswerKind, Entry, Journal, SessionOpened

_PATIENCE_S = 10.0  # a test that would wait longer fails


def now() -> float:
    return 1000.0


def opened(directory: Path, mode: Any = "relaxed", **options: Any) -> Journal:
    return Journal.open(directory, mode, now, **options)


def refused(descriptor: int, start: int, length: int) -> None:
    """Stands in for the reservation of room where a file system does not let it: everything is written."""
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def a_session(session: str = "s1", **environment: Any) -> SessionOpened:
    return SessionOpened(session, b"n" * 32, b"t" * 32, {"name": "echo", **environment}, 1.0)


def an_answer(id_: int = 1, kind: AnswerKind = "step", session: str = "s1", **fields: Any) -> Answered:
    """The answer to request ``id_``, made at that second."""
    request: dict[str, Any] = {"action": {"move": id_}}
    reply: dict[str, Any] = {"observation": {"hand": id_}, "reward": 0.5, "done": False}
    if kind == "reset":
        request = {"seed": 7, "episode_id": None}
    if kind == "error":
        reply = {"code": "EXECUTION_ERROR", "message": "no cards", "details": {}}
    defaults = {
        "session": session,
        "id": id_,
        "key": "",
        "kind": kind,
        "request": json.dumps(request).encode(),
        "reply": json.dumps(reply).encode(),
        "at": float(id_),
        "duration_s": 0.25,
        "episode": "e1",
    }
    return Answered(**{**defaults, **fields})


async def written(directory: Path, *entries: Entry, stop: bool = True, **options: Any) -> list[int]:
    """A journal with these entries; their positions."""
    journal = opened(directory, **options)
    positions = [journal.append(entry) for entry in entries]
    await journal.written(positions[-1])
    if stop:
        await journal.aclose()
    else:  # as if its process were killed
        journal._appender.close()
        journal._lock.release()
    return positions


def contents(directory: Path) -> list[Entry]:
    """The entries without those that the journal makes itself."""
    return [entry for _, entry in Journal.scan(directory) if type(entry).__name__ not in ("Began", "Stopped")]


def only_file(directory: Path) -> Path:
    (path,) = directory.glob("*.journal")
    return path


def files(directory: Path) -> list[str]:
    """Names of the journal's files, in order."""
    return sorted(path.name for path in directory.glob("*.journal"))


def child(code: str, *arguments: str, prefix: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    """A Python process that runs this code; what it prints comes through a pipe."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


class Disk:
    """Stands in for fdatasync: each call waits until it is let through, and is counted."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: OSError | None = None
        self._changed = threading.Condition()
        self._allowed = 0

    def sync(self, descriptor: int) -> None:
        with self._changed:
            self.calls += 1
            call = self.calls
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._allowed >= call, timeout=_PATIENCE_S), "never let through"
            if self.error is not None:
                raise self.error

    def allow(self, calls: int) -> None:
        with self._changed:
            self._allowed += calls
            self._changed.notify_all()

    def await_call(self, number: int) -> None:
        """Return once that call, counted from 1, has come."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.calls >= number, timeout=_PATIENCE_S), "never called"


class Writes:
    """Stands in for os.write: counts, and fails where it is told to."""

    def __init__(self, failing: Callable[[int, bytes], int] | None = None) -> None:
        self.calls: list[int] = []
        self.failing = failing

    def __call__(self, descriptor: int, data: bytes) -> int:
        self.calls.append(len(data))
        if self.failing is not None:
            return self.failing(descriptor, data)
        return os.write(descriptor, data)
