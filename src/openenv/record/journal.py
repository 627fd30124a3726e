"""The server's journal: every accepted request and its reply, written before the reply leaves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from openenv.errors import RecordError
from openenv.record.appending import Appender, sync_file
from openenv.record.entries import NO_FORM, Answered, Entry, Position, Stopped, encode_entry, formless
from openenv.record.names import FILE_NAME
from openenv.record.pending import Pending, beginnings
from openenv.record.recovery import Left, Recovered, recover
from openenv.record.room import Room, reserve_bytes
from openenv.record.segments import (
    MAX_ENTRY_BYTES,
    DirectoryLock,
    EntryReader,
    read_segment,
    segments_of,
    split,
    unwritable,
)

__all__ = ["Journal", "JournalMode"]

JournalMode = Literal["relaxed", "durable"]

_SEGMENT_BYTES = 256 * 1024 * 1024
_LARGEST_SEGMENT_BYTES = 1 << 38  # a position has 40 bits for the byte, and the last entry goes beyond this one

_NEVER: Position = 1 << 64  # beyond every position

_Told: TypeAlias = Callable[[RecordError | None], None]


class Journal:
    """An append-only log in a directory, one per server. Used on one event loop, by its thread only.

    - ``relaxed``: what is appended is in the file at once, by way of memory, or, where the file system does not let
      it, what was appended in one turn of the loop is written together at its end. It survives the end of the process,
      kill -9 included; a power cut may take the last seconds.
    - ``durable``: it is also on the disk (fdatasync) before ``written`` returns, and so survives a power cut. What is
      appended while the disk works goes there together afterwards.

    Once writing fails, the journal stays failed: ``failure`` says why, ``written`` raises it for everything that was
    not written, and nothing more is taken.

    Attributes:
        directory: Where its files are.
        mode: What it promises.
        failure: Why nothing can be written any more; None as long as all is well.
        recovered: The sessions that earlier servers left open. They stay open in the journal, and keep its files
            needed, until a ``SessionEnded`` of theirs is appended.
        reasons: Why the last sessions ended that did, by their id; those that were closed are left out.
    """

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike[str],
        mode: JournalMode,
        now: Callable[[], float],
        *,
        environment: str = "",
        segment_bytes: int = _SEGMENT_BYTES,
        keep_bytes: int | None = None,
        sync: Callable[[int], None] = sync_file,
        write: Callable[[int, bytes], int] = os.write,
        reserve: Callable[[int, int, int], None] = reserve_bytes,
    ) -> Journal:
        """Take a directory, read what earlier servers left in it, and begin a new file. Blocks while it reads.

        Args:
            directory: Made if it is not there, for this user only. It has room for one server, and for no event store.
            mode: See the class.
            now: Seconds since 1970 (UTC).
            environment: Name of what is served, for people.
            segment_bytes: A new file is begun when one has so many bytes, at most 2**38.
            keep_bytes: Once the files have more bytes than this, the oldest are deleted, as far as all sessions in
                them have ended; None: everything is kept.
            sync: Brings a file's bytes to the disk; ``durable`` calls it in a thread.
            write: As ``os.write``.
            reserve: Keeps room on the disk, as ``reserve_bytes``; ``relaxed`` writes what it finds none for.

        Raises:
            RecordError: Another server has the directory, it cannot be written, or it has files that cannot be read,
                are damaged, are of a newer version, or are no journal.
        """
        path = Path(directory)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error
        if (path / FILE_NAME).exists():
            raise RecordError(
                f"{path} has an event store; name a directory of its own for the journal", details={"path": str(path)}
            )
        lock = DirectoryLock(path)
        segment_bytes = min(segment_bytes, _LARGEST_SEGMENT_BYTES)
        is_durable, room = mode == "durable", Room(reserve, segment_bytes)
        appender = Appender(path, keep_bytes, sync if is_durable else None, write, None if is_durable else room)
        try:
            left = recover(path)
            began, newest = beginnings(segments_of(path), environment, now)
            opened = {session: split(found.opened_at)[0] for session, found in left.open.items()}
            pending = Pending(newest, segment_bytes, opened, began, room)
            batches, end = pending.take()
            appender.write(batches)
        except BaseException:
            appender.close()
            lock.release()
            raise
        return cls(path, mode, now, left, pending, end, appender, room, lock)

    def __init__(
        self,
        directory: Path,
        mode: JournalMode,
        now: Callable[[], float],
        left: Left,
        pending: Pending,
        written: Position,
        appender: Appender,
        room: Room,
        lock: DirectoryLock,
    ) -> None:
        """Use ``Journal.open``."""
        self.directory, self.mode = directory, mode
        self.recovered, self.reasons = left
        self._now, self._pending, self._appender, self._lock = now, pending, appender, lock
        self._room = room
        self._loop = asyncio.get_running_loop()
        self._reader = EntryReader(directory)
        self._thread = ThreadPoolExecutor(1, "openenv-journal") if mode == "durable" else None
        self._waiting: list[_Told] = []  # for what is pending
        self._flying: list[_Told] = []  # for what the thread is writing
        self._written = self._handed = written  # everything before these is written, or handed over to be written
        self._is_due = False  # whether the end of this turn will flush
        self._is_syncing = False
        self._is_closed = False
        self.failure: RecordError | None = None

    # Reading -------------------------------------------------------------------------------------

    @staticmethod
    def scan(directory: str | os.PathLike[str]) -> Iterator[tuple[Position, Entry]]:
        """All entries of a directory in their order, with the ``Began`` of each file; also while a server writes.

        Raises:
            RecordError: A file cannot be read, is no journal, is of a newer version, or is damaged before its end
                (raised when it is reached). A torn end is cut off with a line in the log.
        """
        for segment in segments_of(Path(directory)):
            yield from read_segment(segment)

    @staticmethod
    def recover(directory: str | os.PathLike[str]) -> dict[str, Recovered]:
        """What ``recovered`` is for a journal that is opened now."""
        return recover(Path(directory)).open

    def read(self, position: Position) -> Entry:
        """The entry at this position, which was written.

        Raises:
            RecordError: There is none, it is not written yet, or it cannot be read.
        """
        if position >= self._written and self._thread is None:
            self.flush_now()
        return self._reader.read(position)

    # Writing -------------------------------------------------------------------------------------

    def append(self, entry: Entry) -> Position:
        """Take an entry; it is written now, at the end of this turn of the loop, or by ``flush_now``.

        Never waits, and does not tell of a failed disk: ``written`` does.

        Raises:
            RecordError: The entry has no form or is larger than 1 GiB, or the journal was closed.
        """
        try:
            data = encode_entry(entry)
        except NO_FORM as error:
            raise formless(entry, error) from error
        position = self._room.put(data)
        if not position:
            return self._append_waiting(entry, data)
        self._written = self._handed = position + 1
        if type(entry) is not Answered:
            self._pending.follow(entry)
        return position

    def written(self, position: Position) -> Awaitable[None]:
        """Wait until everything up to the entry at this position is where the mode promises it to be.

        Raises:
            RecordError: It was not written: the journal has failed.
        """
        if position < self._written:
            return _NOW
        waiter = self._loop.create_future()
        self.call_when_written(position, partial(_settle, waiter))
        return waiter

    def call_when_written(self, position: Position, told: Callable[[RecordError | None], None]) -> None:
        """Call ``told`` when ``written`` would return: with None, or with what it would raise. Cheaper than a task.

        It is called at once where there is nothing to wait for. It must not raise.
        """
        if position < self._written:
            told(None)
        elif self.failure is not None:
            told(self._told_again())
        elif position < self._handed:
            self._flying.append(told)
        else:
            self._waiting.append(told)

    def flush_now(self) -> RecordError | None:
        """Do not wait for the end of this turn; for a caller who knows that nobody else will append in it.

        ``relaxed``: everything is written when this returns, and ``written`` does not wait. ``durable``: the disk
        begins now, if it is idle. Returns ``failure``.
        """
        if not self._pending.chunks or self.failure is not None or self._is_syncing:
            return self.failure
        batches, end = self._pending.take()
        self._handed = end
        if self._waiting:
            self._flying, self._waiting = self._waiting, []
        if self._thread is not None:
            self._is_syncing = True
            self._loop.run_in_executor(self._thread, self._appender.write, batches).add_done_callback(
                partial(self._synced, end)
            )
            return None
        try:
            self._appender.write(batches)
        except RecordError as error:
            self._fail(error)
        else:
            self._release(end)
        return self.failure

    async def aclose(self) -> None:
        """Write what is left, with a ``Stopped`` behind it, and give the directory free. A second call does nothing.

        Raises:
            RecordError: Something was not written, now or before.
        """
        if self._is_closed:
            return
        last = self.append(Stopped(self._now()))
        self._is_closed = True
        try:
            self.flush_now()
            await self.written(last)
        finally:
            if self._thread is not None:
                # Cancelled while the disk works: the thread has to be done with the file before it is closed.
                self._thread.shutdown(wait=True)
            if self._written <= last and self.failure is None:
                self._fail(RecordError(f"the journal in {self.directory} was closed before all of it was written"))
            self._reader.close()
            self._appender.close()
            self._lock.release()

    # Inside --------------------------------------------------------------------------------------

    def _append_waiting(self, entry: Entry, data: bytes) -> Position:
        if self.failure is not None or self._is_closed or len(data) > MAX_ENTRY_BYTES:
            return self._refused(data)
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._end_turn)
        return self._pending.add(entry, data)

    def _end_turn(self) -> None:
        self._is_due = False
        self.flush_now()

    def _synced(self, end: Position, done: asyncio.Future[None]) -> None:
        self._is_syncing = False
        error = done.exception()
        if error is None:
            self._release(end)
            self.flush_now()  # what came meanwhile
        else:
            self._fail(error if isinstance(error, RecordError) else RecordError(f"the journal failed: {error}"))

    def _release(self, end: Position) -> None:
        self._written = end
        if self._flying:
            flying, self._flying = self._flying, []
            for told in flying:
                told(None)

    def _fail(self, error: RecordError) -> None:
        self.failure = error
        left, self._flying, self._waiting = [*self._flying, *self._waiting], [], []
        self._pending.clear()
        for told in left:
            told(self._told_again())

    def _told_again(self) -> RecordError:
        # Everyone gets an error of their own, since raising one adds to its traceback.
        assert self.failure is not None
        return RecordError(str(self.failure), details=self.failure.details)

    def _refused(self, data: bytes) -> Position:
        """A position that is never written, if the journal has failed; else there is an error to raise."""
        if self._is_closed:
            raise RecordError(f"the journal in {self.directory} was closed; open it again with Journal.open")
        if self.failure is None:
            raise RecordError(
                f"a journal entry has {len(data)} bytes, and {MAX_ENTRY_BYTES} is the most; make observations or "
                "snapshots smaller"
            )
        return _NEVER


class _Now:
    """Awaiting it takes no time."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


_NOW = _Now()


def _settle(waiter: asyncio.Future[None], error: RecordError | None) -> None:
    if waiter.done():  # its task was cancelled
        return
    if error is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(error)
