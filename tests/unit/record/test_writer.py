"""The thread between those who write events and the store."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.record.samples import a_run, an_episode, an_event

from openenv.errors import RecordError
from openenv.record import EventStore, EventWriter
from openenv.record.rows import EventRow

GUARD_S = 60  # a test that waits so long has failed
NEVER_S = 1e6


class WatchedStore(EventStore):
    """A store that tells the size of each batch, waits at a gate, and fails on demand."""

    def watch(self) -> WatchedStore:
        self.batches: list[int] = []
        self.arrived = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.failure: Exception | None = None
        return self

    def append_rows(self, rows: list[EventRow]) -> None:
        self.batches.append(len(rows))
        self.arrived.release()
        assert self.gate.wait(GUARD_S)
        if self.failure is not None:
            raise self.failure
        super().append_rows(rows)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchedStore]:
    with WatchedStore.open(tmp_path, create=True) as store:
        assert isinstance(store, WatchedStore)
        store.begin_run(a_run())
        yield store.watch()


def test_close_stores_everything(store: WatchedStore) -> None:
    with EventWriter(store, batch_s=NEVER_S) as writer:
        for event in an_episode():
            writer.write(event)
    assert list(store.events("run-1")) == an_episode()
    assert writer.pending == 0
    writer.close()
    with pytest.raises(RecordError, match=r"was closed; make another one"):
        writer.write(an_event(9))


def test_flush_returns_when_all_before_it_is_stored(store: WatchedStore) -> None:
    with EventWriter(store, batch_s=NEVER_S) as writer:
        writer.flush()
        for index in range(3):
            writer.write(an_event(index))
            writer.flush()
            assert len(list(store.events("run-1"))) == index + 1
            assert writer.pending == 0
    assert store.batches == [1, 1, 1]


def test_a_full_batch_is_stored_without_being_asked_for(store: WatchedStore) -> None:
    with EventWriter(store, batch_events=4, batch_s=NEVER_S) as writer:
        for index in range(40):
            # from a thread each, so that the writer's own gets its turn in between and waits for more
            thread = threading.Thread(target=writer.write, args=[an_event(index)])
            thread.start()
            thread.join()
            if index % 4 == 3:
                assert store.arrived.acquire(timeout=GUARD_S)
                writer.flush()
    assert store.batches == [4] * 10


def test_a_batch_does_not_wait_for_ever_to_be_full(store: WatchedStore) -> None:
    with EventWriter(store, batch_events=1000, batch_s=0.01) as writer:
        for index in range(2):
            writer.write(an_event(index))
            assert store.arrived.acquire(timeout=GUARD_S)
        writer.flush()
        assert store.batches == [1, 1]


def test_writing_goes_on_while_the_disk_is_slow(store: WatchedStore) -> None:
    store.gate.clear()
    with EventWriter(store, batch_events=1) as writer:
        writer.write(an_event(0))
        assert store.arrived.acquire(timeout=GUARD_S)
        for index in range(1, 100):
            writer.write(an_event(index))
        assert writer.pending == 100
        store.gate.set()
    assert store.batches == [1, 99]
    assert len(list(store.events("run-1"))) == 100


def test_what_waits_is_bounded_and_a_refused_event_can_be_written_again(store: WatchedStore) -> None:
    store.gate.clear()
    large = {"observation": "x" * 10_000}
    with EventWriter(store, batch_events=1, max_pending_bytes=25_000) as writer:
        writer.write(an_event(0, reply=large))
        writer.write(an_event(1, reply=large))
        with pytest.raises(RecordError, match=r"2 events wait to be stored in .* too slow; call flush\(\)"):
            writer.write(an_event(2, reply=large))
        store.gate.set()
        writer.flush()
        writer.write(an_event(2, reply={"observation": "x" * 100_000}))  # alone, any size is taken
    assert [event.index for event in store.events("run-1")] == [0, 1, 2]


def test_many_threads_and_an_event_loop_write_at_once(store: WatchedStore) -> None:
    def play(name: str) -> None:
        for event in an_episode(name, steps=50):
            writer.write(event)

    async def play_all() -> None:
        for event in an_episode("loop", steps=50):
            writer.write(event)
            await asyncio.sleep(0)
        await asyncio.to_thread(writer.flush)

    with EventWriter(store, batch_events=16) as writer:
        threads = [threading.Thread(target=play, args=[name]) for name in "abc"]
        for thread in threads:
            thread.start()
        asyncio.run(play_all())
        assert list(store.events("run-1", "loop")) == an_episode("loop", steps=50)
        for thread in threads:
            thread.join()
    for name in "abc":
        assert list(store.events("run-1", name)) == an_episode(name, steps=50)


def test_an_event_is_kept_as_it_was_when_written(store: WatchedStore) -> None:
    observation = {"hand": 12}
    with EventWriter(store, batch_s=NEVER_S) as writer:
        writer.write(an_event(0, reply={"observation": observation}))
        observation["hand"] = 21
    assert next(store.events("run-1")).reply == {"observation": {"hand": 12}}


def test_an_event_without_a_json_form_harms_nobody_else(store: WatchedStore) -> None:
    with EventWriter(store) as writer:
        writer.write(an_event(0))
        with pytest.raises(RecordError, match="event 1 of episode 'first' has no JSON form"):
            writer.write(an_event(1, reply={"observation": object()}))
        writer.write(an_event(1))
    assert len(list(store.events("run-1"))) == 2


# Failing stores ----------------------------------------------------------------------------------


def failing(store: WatchedStore, error: Exception) -> EventWriter:
    """A writer whose store took one event and then, with three more waiting or under way, fails."""
    writer = EventWriter(store, batch_events=1)
    writer.write(an_event(0))
    writer.flush()
    assert store.arrived.acquire(timeout=GUARD_S)
    store.gate.clear()
    store.failure = error
    writer.write(an_event(1))
    assert store.arrived.acquire(timeout=GUARD_S)
    writer.write(an_event(2))
    writer.write(an_event(3))
    store.gate.set()
    return writer


@pytest.mark.parametrize("error", [RecordError("the disk is full"), ZeroDivisionError("the disk is full")])
def test_a_failure_is_told_by_everything_that_follows(store: WatchedStore, error: Exception) -> None:
    writer = failing(store, error)
    lost = "3 events were not stored: the disk is full"
    with pytest.raises(RecordError, match=lost) as caught:
        writer.flush()
    assert caught.value.details == {"path": str(store.path), "not_stored": 3}
    assert caught.value.__cause__ is error
    with pytest.raises(RecordError, match=lost):
        writer.write(an_event(4))
    assert writer.pending == 3
    with pytest.raises(RecordError, match=lost):
        writer.close()
    writer.close()
    assert [event.index for event in store.events("run-1")] == [0]


def test_a_failure_while_closing_is_told(store: WatchedStore) -> None:
    store.failure = RecordError("the disk is full")
    with pytest.raises(RecordError, match="1 event was not stored: the disk is full"), EventWriter(store) as writer:
        writer.write(an_event(0))


def test_a_failure_behind_another_error_is_told_as_its_note(store: WatchedStore) -> None:
    store.failure = RecordError("the disk is full")

    def interrupted() -> None:
        with EventWriter(store) as writer:
            writer.write(an_event(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        interrupted()
    assert caught.value.__notes__ == ["1 event was not stored: the disk is full"]


def test_a_failure_that_was_raised_inside_is_not_told_twice(store: WatchedStore) -> None:
    store.failure = RecordError("the disk is full")

    def flushed() -> None:
        with EventWriter(store) as writer:
            writer.write(an_event(0))
            writer.flush()

    with pytest.raises(RecordError, match="1 event was not stored") as caught:
        flushed()
    assert not hasattr(caught.value, "__notes__")


def test_an_event_of_no_run_is_told(store: WatchedStore) -> None:
    with EventWriter(store) as writer:
        writer.write(an_event(0, run="run-9"))
        with pytest.raises(RecordError, match="1 event was not stored: no run 'run-9'"):
            writer.flush()
        with pytest.raises(RecordError, match="1 event was not stored"):
            writer.close()


FORGETFUL = """
import sys
from openenv.record import Event, EventStore, EventWriter, Run
store = EventStore.open(sys.argv[1], create=True)
store.begin_run(Run(id="run-1", started_at=1.0, environment="e", agent="a"))
writer = EventWriter(store, batch_s=1e6)
writer.write(Event("run-1", "first", 0, "reset", 1.0, 0.0, {}, {}))
"""


def test_a_writer_that_nobody_closed_is_closed_with_the_interpreter(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORGETFUL, str(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    with EventStore.open(tmp_path) as store:
        assert len(list(store.events("run-1"))) == 1
