"""The event store on real files: what goes in comes out, and several may use it at once."""

from __future__ import annotations

import itertools
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.record.samples import a_run, an_episode, an_event

from openenv.errors import RecordError
from openenv.record import Event, EventStore, Trajectory


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore.open(tmp_path, create=True) as store:
        store.begin_run(a_run())
        yield store


def test_a_run_comes_back_as_it_went_in(store: EventStore, tmp_path: Path) -> None:
    run = a_run("run-2", seed=2**100, settings={"episodes": [1, None, {"ü": 0.1}]}, versions={"openenv": "1.0.0"})
    store.begin_run(run)
    assert store.run("run-2") == run
    store.end_run("run-2", "complete", 200.5)
    with EventStore.open(tmp_path) as other:
        ended = other.run("run-2")
    assert (ended.status, ended.ended_at) == ("complete", 200.5)
    assert store.run("run-1").status == "running"


def test_runs_come_newest_first(store: EventStore) -> None:
    store.begin_run(a_run("older", started_at=50.0))
    store.begin_run(a_run("newer", started_at=150.0))
    store.begin_run(a_run("same-time", started_at=150.0))
    assert [run.id for run in store.runs()] == ["same-time", "newer", "run-1", "older"]


def test_a_run_is_found_by_how_its_id_begins(store: EventStore) -> None:
    store.begin_run(a_run("abc"))
    store.begin_run(a_run("abcd"))
    store.begin_run(a_run("a%"))
    assert store.run("run").id == "run-1"
    assert store.run("abcd").id == "abcd"
    assert store.run("abc").id == "abc"  # whole ids win
    assert store.run("a%").id == "a%"  # nothing in an id is a wildcard
    with pytest.raises(RecordError, match=r"several runs begin with 'a': a%, abcd, abc; give more"):
        store.run("a")
    with pytest.raises(RecordError, match=r"no run 'x'.*its newest: a%, abcd, abc, run-1"):
        store.run("x")


def test_many_candidates_are_not_all_told(store: EventStore) -> None:
    for number in range(7):
        store.begin_run(a_run(f"many-{number}"))
    with pytest.raises(RecordError, match=r"many-6, many-5, many-4, many-3, many-2, …; give more"):
        store.run("many")


def test_a_store_without_runs_says_so(tmp_path: Path) -> None:
    with EventStore.open(tmp_path, create=True) as store:
        assert store.runs() == []
        with pytest.raises(RecordError, match=r"no run '' in .*it has none yet"):
            store.run("")


def test_a_run_id_is_taken_once_and_must_be_known_to_end(store: EventStore) -> None:
    with pytest.raises(RecordError, match=r"run 'run-1' is in .* already"):
        store.begin_run(a_run(environment="other"))
    with pytest.raises(RecordError, match="no run 'run-9'"):
        store.end_run("run-9", "complete", 1.0)
    with pytest.raises(RecordError, match="does not fit"):
        store.end_run("run-1", "tired", 1.0)  # type: ignore[arg-type]
    assert store.runs() == [a_run()]


def test_events_come_by_episode_in_order_of_begin_then_by_index(store: EventStore) -> None:
    late, early = an_episode("a"), an_episode("z")
    store.append([early[0], late[0], late[1], early[1]])
    store.append([late[3], late[2], early[3], early[2]])
    assert list(store.events("run-1")) == early + late
    assert list(store.events("run-1", "a")) == late
    assert [summary.episode for summary in store.episodes("run-1")] == ["z", "a"]


@pytest.mark.parametrize("seed", [0, 2**63, 2**64, 2**128])
def test_seeds_of_any_size_are_told(store: EventStore, seed: int) -> None:
    store.append([an_event(0, request={"seed": seed})])
    (summary,) = store.episodes("run-1")
    assert summary.seed == seed
    assert next(store.events("run-1")).seed == seed


def test_runs_keep_their_episodes_apart(store: EventStore) -> None:
    store.begin_run(a_run("run-2"))
    store.append(an_episode(run="run-2", steps=5) + an_episode(run="run-1", steps=1))
    assert [summary.length for summary in store.episodes("run-1")] == [1]
    assert list(store.events("run-2")) == an_episode(run="run-2", steps=5)


def test_what_is_not_there_is_an_error_not_an_empty_list(store: EventStore) -> None:
    assert list(store.events("run-1")) == []
    assert list(store.episodes("run-1")) == []
    for missing in (store.events("run-9"), store.episodes("run-9")):
        with pytest.raises(RecordError, match="no run 'run-9'"):
            next(missing)
    with pytest.raises(RecordError, match="no episode 'first'"):
        next(store.events("run-1", "first"))


def test_nothing_appended_is_nothing_done(store: EventStore) -> None:
    store.append([])
    assert list(store.events("run-1")) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"index": 1}, r"event 1 of episode 'first' in run 'run-1' is stored already"),
        ({"index": 4, "run": "run-9"}, r"no run 'run-9'"),
        ({"index": -1}, r"event -1 .* does not fit"),
        ({"index": 1.5}, r"event 1.5 .* does not fit"),
        ({"index": 4, "kind": "render"}, r"event 4 .* does not fit"),
        ({"index": 4, "at": float("nan")}, r"event 4 .* does not fit"),
        ({"index": 2**70}, r"a value does not fit"),
        ({"index": 4, "episode": "\ud800"}, r"a value does not fit"),
        ({"index": 4, "at": object()}, r"a value does not fit"),
        ({"index": 4, "reply": {"observation": object()}}, r"event 4 .* has no JSON form .*object"),
        ({"index": 4, "request": {"action": "\ud800"}}, r"event 4 .* has no JSON form"),
    ],
)
def test_a_wrong_event_is_refused_with_its_whole_batch(store: EventStore, wrong: dict[str, Any], message: str) -> None:
    stored = an_episode()
    store.append(stored)
    fine = an_event(5, episode="other")
    base = fields_of(an_event(1))
    with pytest.raises(RecordError, match=message):
        store.append([fine, Event(**{**base, **wrong})])
    assert list(store.events("run-1")) == stored
    store.append([fine])  # the store is as usable as before
    assert len(list(store.events("run-1"))) == len(stored) + 1


def fields_of(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def test_a_run_without_a_json_form_is_refused(store: EventStore) -> None:
    with pytest.raises(RecordError, match="settings or versions of run 'run-2' have no JSON form"):
        store.begin_run(a_run("run-2", settings={"agent": object()}))
    assert len(store.runs()) == 1


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = EventStore.open(tmp_path, create=True)
    store.close()
    store.close()
    for use in (store.runs, lambda: store.begin_run(a_run()), lambda: next(store.events("run-1"))):
        with pytest.raises(RecordError, match=r"was closed; open it again"):
            use()


def test_the_file_says_what_it_is_and_readers_do_not_wait(store: EventStore) -> None:
    with sqlite3.connect(store.path) as connection:
        values = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "journal_mode")]
    connection.close()
    assert values == [int.from_bytes(b"OENV"), "wal"]


def test_any_path_will_do(tmp_path: Path) -> None:
    directory = tmp_path / "runs of 50% & more?#" / "ü"
    with EventStore.open(str(directory), create=True) as store:
        store.begin_run(a_run())
    assert [path.name for path in directory.iterdir()] == ["events.sqlite"]
    with EventStore.open(directory, create=True) as again:
        assert again.runs() == [a_run()]


# Round trips -------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]))
finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | finite | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
times = st.floats(0, 1e10)
numbered = itertools.count()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventStore]:
    with EventStore.open(tmp_path_factory.mktemp("shared"), create=True) as store:
        yield store


@given(st.data())
def test_whatever_is_json_comes_back_as_it_went_in(shared: EventStore, data: st.DataObject) -> None:
    run = a_run(f"json-{next(numbered)}", settings=data.draw(st.dictionaries(texts, values, max_size=4)))
    events = [
        Event(run.id, episode, index, data.draw(kinds), data.draw(times), data.draw(times), request, data.draw(values))
        for episode in data.draw(st.lists(texts, max_size=3, unique=True))
        for index, request in enumerate(data.draw(st.lists(values, max_size=4)))
    ]
    shared.begin_run(run)
    shared.append(events)
    assert shared.run(run.id) == run
    assert list(shared.events(run.id)) == events
    assert repr(list(shared.events(run.id))) == repr(events)  # 1 == 1.0 == True, but they are not the same


kinds = st.sampled_from(["reset", "step", "error", "end"])
rewards = st.none() | st.integers(-1000, 1000) | st.booleans() | st.just(float("nan")) | st.just("high")
replies = st.fixed_dictionaries(
    {},
    optional={
        "reward": rewards,
        "status": st.sampled_from(["done", "failed", "interrupted", "tired"]),
        "metadata": st.none() | st.dictionaries(st.just("seed"), st.integers(0, 2**128) | st.booleans() | st.text()),
    },
)
requests = st.fixed_dictionaries({}, optional={"seed": st.none() | st.integers(0, 2**128)})


@given(st.lists(st.tuples(kinds, times, times, requests, replies), min_size=1, max_size=8))
def test_a_summary_from_the_database_equals_the_one_from_the_events(shared: EventStore, drawn: list[Any]) -> None:
    run = f"summary-{next(numbered)}"
    events = [Event(run, "only", index, *fields) for index, fields in enumerate(drawn)]
    shared.begin_run(a_run(run))
    shared.append(events)
    assert list(shared.episodes(run)) == [Trajectory.of(events).summary]


# Several at once ---------------------------------------------------------------------------------

READER = """
import sys
from openenv.record import EventStore
store = EventStore.open(sys.argv[1], busy_timeout_s=0.0)
for _ in sys.stdin:
    print(len(list(store.events("run-1"))), flush=True)
"""


def test_another_process_reads_while_this_one_writes(store: EventStore, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None

        def seen() -> int:
            reader.stdin.write("\n")
            reader.stdin.flush()
            return int(reader.stdout.readline())

        assert seen() == 0
        for count in range(1, 6):
            store.append(an_episode(f"episode-{count}"))
            assert seen() == 4 * count
        with sqlite3.connect(store.path, isolation_level=None) as unfinished:
            unfinished.execute("BEGIN IMMEDIATE")
            unfinished.execute("DELETE FROM events")
            assert seen() == 20  # neither waits nor sees what is not committed
            unfinished.execute("ROLLBACK")
        unfinished.close()
        reader.stdin.close()
    assert reader.returncode == 0


def test_one_reading_sees_the_moment_it_began(store: EventStore) -> None:
    store.append(an_episode("a"))
    reading = store.events("run-1")
    first = next(reading)
    store.append(an_episode("b"))
    assert [first, *reading] == an_episode("a")
    assert len(list(store.events("run-1"))) == 8


def test_many_threads_may_use_one_store(store: EventStore) -> None:
    def record(name: str) -> None:
        try:
            for number in range(10):
                store.append(an_episode(f"{name}-{number}"))
                assert len(list(store.episodes("run-1"))) > number
        except BaseException as error:  # noqa: BLE001 - told in the main thread
            failures.append(error)

    failures: list[BaseException] = []
    threads = [threading.Thread(target=record, args=[name]) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [summary.length for summary in store.episodes("run-1")] == [2] * 40


CREATOR = """
import sys
from openenv.record import EventStore, Run
print("ready", flush=True)
sys.stdin.readline()
for directory in range(20):
    with EventStore.open(f"{sys.argv[1]}/{directory}", create=True) as store:
        store.begin_run(Run(id=sys.argv[2], started_at=1.0, environment="e", agent="a"))
"""


def test_several_processes_may_create_the_store_at_once(tmp_path: Path) -> None:
    creators = [
        subprocess.Popen(
            [sys.executable, "-c", CREATOR, str(tmp_path), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for name in "abcd"
    ]
    for creator in creators:
        assert creator.stdout.readline() == b"ready\n"
    for creator in creators:
        creator.stdin.write(b"go\n")
        creator.stdin.flush()
    for creator in creators:
        with creator:
            pass
    assert [creator.returncode for creator in creators] == [0] * 4
    for directory in range(20):
        with EventStore.open(tmp_path / str(directory)) as store:
            assert sorted(run.id for run in store.runs()) == ["a", "b", "c", "d"]
