"""Hands events to the store from a thread of its own, so that who writes one never waits for the disk."""

from __future__ import annotations

import atexit
import threading
from types import TracebackType

from openenv.errors import RecordError
from openenv.record.events import Event
from openenv.record.rows import EventRow, event_row
from openenv.record.store import EventStore

__all__ = ["EventWriter"]


class EventWriter:
    """Collects events from any number of threads or an event loop and stores them in batches.

    Nothing is lost silently: if a batch cannot be stored, the writer stops, and the next ``write``, ``flush`` or
    ``close`` raises with the number of events that were taken but not stored. Should ``close`` never be called, the
    end of the interpreter does it.

    The writer does not close the store.

    Args:
        store: Where events go.
        batch_events: A batch is stored when it has so many events,
        batch_s: or when its first event has waited so many seconds.
        max_pending_bytes: How much may wait for the disk, in bytes of JSON and a little more; beyond it ``write``
            refuses. A caller that must not come there looks at ``pending`` now and then and flushes.
    """

    def __init__(
        self,
        store: EventStore,
        *,
        batch_events: int = 512,
        batch_s: float = 0.2,
        max_pending_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        self._store = store
        self._batch_events = batch_events
        self._batch_s = batch_s
        self._max_pending_bytes = max_pending_bytes
        self._changed = threading.Condition()
        self._queue: list[EventRow] = []
        self._pending_bytes = 0  # of the queue and of the batch being stored
        self._taken = 0
        self._stored = 0
        self._flush_to = 0  # events up to this one are not kept waiting for a full batch
        self._closing = False
        self._failure: BaseException | None = None
        # A daemon, because the interpreter would otherwise wait for a writer that nobody closed before it gets to
        # atexit, which closes it.
        self._thread = threading.Thread(target=self._run, name="openenv-record", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    @property
    def pending(self) -> int:
        """Number of events that were taken and are not stored yet."""
        with self._changed:
            return self._taken - self._stored

    def write(self, event: Event) -> None:
        """Take an event; it is stored soon after. Never waits for the disk. The event may change afterwards.

        Raises:
            RecordError: This event was not taken: it has no JSON form, too much is waiting, or the writer was closed;
                or the store failed before.
        """
        row = event_row(event)
        with self._changed:
            self._raise_failure()
            if self._closing:
                raise RecordError(f"the event writer of {self._store.path} was closed; make another one")
            if self._queue_is_full(row):
                raise RecordError(
                    f"{self._taken - self._stored} events wait to be stored in {self._store.path}, which is too slow; "
                    "call flush() now and then, or record into a directory on a faster disk"
                )
            self._queue.append(row)
            self._taken += 1
            self._pending_bytes += row.size
            # The thread needs to know of the first event, to start its clock, and of a full batch; waking it for
            # every one would cost more than storing it.
            if len(self._queue) in (1, self._batch_events):
                self._changed.notify_all()

    def flush(self) -> None:
        """Wait until every event taken so far is stored. In an event loop: ``await asyncio.to_thread(writer.flush)``.

        Raises:
            RecordError: The store failed; the message says how many events are not stored.
        """
        with self._changed:
            target = self._flush_to = self._taken
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._stored >= target or self._failure is not None)
            self._raise_failure()

    def close(self) -> None:
        """Store what is left and end the thread. A second call does nothing.

        Raises:
            RecordError: The store failed, now or before; the message says how many events are not stored.
        """
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        atexit.unregister(self.close)
        with self._changed:
            self._raise_failure()

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except RecordError as failure:
            if error is None:
                raise
            if error is not failure and str(error) != str(failure):
                error.add_note(str(failure))  # the first error is the one to see, but this must be seen too

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                self._store.append_rows(batch)
            except Exception as error:  # noqa: BLE001 - whatever it was, callers must be told, not wait for this thread for ever
                with self._changed:
                    self._failure = error
                    self._queue.clear()
                    self._changed.notify_all()
                return
            with self._changed:
                self._stored += len(batch)
                self._pending_bytes -= sum(row.size for row in batch)
                self._changed.notify_all()

    def _next_batch(self) -> list[EventRow]:
        """Wait for the next events to store; none means that the writer is closed and everything is stored."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            self._changed.wait_for(self._is_due, timeout=self._batch_s)
            batch, self._queue = self._queue, []
            return batch

    def _is_due(self) -> bool:
        return len(self._queue) >= self._batch_events or self._closing or self._flush_to > self._stored

    def _queue_is_full(self, row: EventRow) -> bool:
        # One event alone is always taken, however large.
        return self._pending_bytes > 0 and self._pending_bytes + row.size > self._max_pending_bytes

    def _raise_failure(self) -> None:
        if self._failure is not None:
            lost = self._taken - self._stored
            raise RecordError(
                f"{lost} {'event was' if lost == 1 else 'events were'} not stored: {self._failure}",
                details={"path": str(self._store.path), "not_stored": lost},
            ) from self._failure
