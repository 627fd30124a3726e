"""What goes wrong with a store's file, and what the user is told."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.record.samples import a_run, an_episode, an_event

from openenv.errors import RecordError
from openenv.record import EventStore


def opened(directory: Path, *, create: bool = False) -> None:
    with EventStore.open(directory, create=create, busy_timeout_s=0.0):
        pass


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A directory with a store of one episode."""
    with EventStore.open(tmp_path, create=True) as store:
        store.begin_run(a_run())
        store.append(an_episode())
    return tmp_path


def pragma(directory: Path, assignment: str) -> None:
    connection = sqlite3.connect(directory / "events.sqlite")
    connection.execute(f"PRAGMA {assignment}")
    connection.close()


def test_no_store_is_told_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"no events in .*openenv rollout ENV --out") as caught:
        opened(tmp_path / "nowhere")
    assert caught.value.details == {"path": str(tmp_path / "nowhere" / "events.sqlite")}
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("create", [False, True])
def test_a_newer_store_is_left_alone(recorded: Path, create: bool) -> None:
    pragma(recorded, "user_version = 2")
    with pytest.raises(RecordError, match=r"newer OpenEnv \(store version 2, this one reads up to 1\).*pip install -U"):
        opened(recorded, create=create)


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("assignment", ["application_id = 5", "user_version = 0"])
def test_a_database_of_another_program_is_left_alone(recorded: Path, create: bool, assignment: str) -> None:
    pragma(recorded, assignment)
    before = (recorded / "events.sqlite").read_bytes()
    with pytest.raises(RecordError, match="is no event store of OpenEnv"):
        opened(recorded, create=create)
    assert (recorded / "events.sqlite").read_bytes() == before


def test_an_empty_file_is_no_store_until_one_is_created(tmp_path: Path) -> None:
    (tmp_path / "events.sqlite").touch()
    with pytest.raises(RecordError, match="is no event store of OpenEnv"):
        opened(tmp_path)
    opened(tmp_path, create=True)
    opened(tmp_path)


@pytest.mark.parametrize("create", [False, True])
def test_a_file_that_is_no_database_is_told_with_its_path(tmp_path: Path, create: bool) -> None:
    (tmp_path / "events.sqlite").write_text("these are not the events you are looking for\n" * 100)
    with pytest.raises(RecordError, match=r"events\.sqlite: it is damaged or no event store; move it away"):
        opened(tmp_path, create=create)


def test_a_damaged_page_is_told(recorded: Path) -> None:
    path = recorded / "events.sqlite"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)  # everything but the first page
    path.write_bytes(content)
    with EventStore.open(recorded) as store, pytest.raises(RecordError, match=r"it is damaged or no event store"):
        store.runs()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE events SET reply = '{' WHERE position = 2", r"event 2 of episode 'first' in run 'run-1' is damaged"),
        ("UPDATE events SET reply = CAST(x'ff' AS TEXT)", r"it cannot be used; check the disk"),
        ("UPDATE runs SET settings = '{'", r"run 'run-1' is damaged"),
        ("UPDATE runs SET seed = 'seven'", r"run 'run-1' is damaged"),
        ("DROP TABLE events", r"it cannot be used; check the disk"),
    ],
)
def test_damage_inside_a_table_is_told(recorded: Path, change: str, message: str) -> None:
    connection = sqlite3.connect(recorded / "events.sqlite")
    connection.execute(change)
    connection.commit()
    connection.close()
    with EventStore.open(recorded) as store, pytest.raises(RecordError, match=message):
        _ = store.run("run-1"), list(store.events("run-1"))


@pytest.mark.parametrize("create", [False, True])
def test_a_directory_in_the_place_of_the_file(tmp_path: Path, create: bool) -> None:
    (tmp_path / "events.sqlite").mkdir()
    with pytest.raises(RecordError, match=r"events\.sqlite: it cannot be opened; check that it is a file"):
        opened(tmp_path, create=create)


@pytest.mark.parametrize("below", [".", "deeper"])
def test_a_file_in_the_place_of_the_directory(tmp_path: Path, below: str) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(RecordError, match=r"cannot make the directory .*out.* for events \(.*\); name one"):
        opened(tmp_path / "out" / below, create=True)


def test_a_store_that_another_process_is_writing_to(recorded: Path) -> None:
    other = sqlite3.connect(recorded / "events.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with EventStore.open(recorded, busy_timeout_s=0.0) as store:
        with pytest.raises(RecordError, match="another process keeps it locked; wait"):
            store.append([an_event(9)])
        assert len(list(store.events("run-1"))) == 4
        other.execute("ROLLBACK")
        store.append([an_event(9)])
        assert len(list(store.events("run-1"))) == 5
    other.close()


# Read-only places and full disks, seen by another process -----------------------------------------

UNPRIVILEGED = """
import os, sys
from openenv.errors import RecordError
from openenv.record import EventStore, Run
if os.geteuid() == 0:
    os.setuid(65534)
store = EventStore.open(sys.argv[1])
print(len(list(store.events("run-1"))))
new = Run(id="new", started_at=1.0, environment="e", agent="a")
try:
    store.begin_run(new)
except RecordError as error:
    print(error)
try:
    EventStore.open(sys.argv[1], create=True)
except RecordError as error:
    print(error)
try:
    EventStore.open(sys.argv[1] + "/deeper", create=True)
except RecordError as error:
    print(error)
try:
    EventStore.open(sys.argv[1] + "/closed")
except RecordError as error:
    print(error)
"""


@pytest.fixture
def readonly() -> Iterator[Path]:
    """A recorded directory that nobody but the administrator may write to. Others cannot enter those of pytest."""
    directory = Path(tempfile.mkdtemp())
    with EventStore.open(directory, create=True) as store:
        store.begin_run(a_run())
        store.append(an_episode())
    (directory / "events.sqlite").chmod(0o444)
    (directory / "closed").mkdir(mode=0o000)
    directory.chmod(0o555)
    yield directory
    directory.chmod(0o755)
    (directory / "closed").chmod(0o755)
    shutil.rmtree(directory)


def test_a_read_only_directory_can_be_read_and_says_so_when_written_to(readonly: Path) -> None:
    done = subprocess.run([sys.executable, "-c", UNPRIVILEGED, str(readonly)], capture_output=True, text=True)
    assert done.stderr == ""
    count, written, created, deeper, closed = done.stdout.splitlines()
    assert count == "4"
    for message in (written, created):
        assert "events.sqlite: it is read-only; make it and its directory writable" in message
    assert "cannot make the directory" in deeper
    assert "closed/events.sqlite: it cannot be opened; check that it is a file and that you may" in closed
    assert sorted(path.name for path in readonly.iterdir()) == ["closed", "events.sqlite"]


LIMITED = """
import resource, sys
from openenv.errors import RecordError
from openenv.record import Event, EventStore, Run
store = EventStore.open(sys.argv[1], create=True)
store.begin_run(Run(id="run-1", started_at=1.0, environment="e", agent="a"))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
stored = 0
try:
    while stored < 1000:
        store.append([Event("run-1", "first", stored, "step", 1.0, 0.0, {}, {"observation": "x" * 10_000})])
        stored += 1
except RecordError as error:
    print(error)
print(stored, len(list(store.events("run-1"))))
"""


def test_a_full_disk_is_told_and_keeps_what_was_stored(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True)
    assert done.stderr == ""
    message, counts = done.stdout.splitlines()
    assert "events.sqlite: the disk is full or fails; free some space" in message
    stored, read = map(int, counts.split())
    assert 0 < stored < 1000
    assert read == stored
    with EventStore.open(tmp_path) as store:
        store.append([an_event(5000)])  # with space again, it goes on
        assert len(list(store.events("run-1"))) == stored + 1


KILLED = """
import sys
from openenv.record import Event, EventStore, EventWriter, Run
store = EventStore.open(sys.argv[1], create=True)
store.begin_run(Run(id="run-1", started_at=1.0, environment="e", agent="a"))
writer = EventWriter(store)
index = 0
while True:
    kind = "step" if index else "reset"
    writer.write(Event("run-1", "first", index, kind, 1.0, 0.0, {"action": index}, {"reward": 1}))
    index += 1
    if index % 1500 == 0:
        writer.flush()
        if index == 1500:
            print("flushed", flush=True)
"""


def test_what_was_flushed_outlives_a_killed_process(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "flushed\n"
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    with EventStore.open(tmp_path) as store:
        assert store.run("run-1").status == "running"
        events = list(store.events("run-1"))
        assert len(events) >= 1500
        assert [event.index for event in events] == list(range(len(events)))
        (summary,) = store.episodes("run-1")
        assert (summary.status, summary.length, summary.return_) == ("running", len(events) - 1, len(events) - 1)
        store.end_run("run-1", "interrupted", 2.0)
        assert store.run("run-1").status == "interrupted"
