"""Runs as files of other formats."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.record.samples import a_run, an_episode, an_event

from openenv.errors import MissingExtra, RecordError
from openenv.record import Event, EventStore, Run, export_jsonl, export_parquet


class FullAfter(io.StringIO):
    """A text file with room for some lines only."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self.room = lines

    def write(self, text: str) -> int:
        if self.room == 0:
            raise OSError("no space left")
        self.room -= 1
        return super().write(text)


def test_one_line_an_event_with_its_fields_in_order(tmp_path: Path) -> None:
    events = [*an_episode("a"), an_event(0, episode="ü", reply={"observation": "two\nlines", "b": 1, "a": 1.0})]
    out = io.StringIO()
    with EventStore.open(tmp_path, create=True) as store:
        store.begin_run(a_run())
        store.append(events)
        assert export_jsonl(store, "run-1", out) == 5
    lines = out.getvalue().splitlines(keepends=True)
    assert lines[-1] == (
        '{"run":"run-1","episode":"ü","index":0,"kind":"reset","at":100.0,"duration_s":0.5,'
        '"request":{"seed":7,"episode_id":null},"reply":{"observation":"two\\nlines","b":1,"a":1.0}}\n'
    )
    assert [json.loads(line) for line in lines] == [
        {name: getattr(event, name) for name in event.__struct_fields__} for event in events
    ]


def test_a_run_that_is_not_there_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    out = io.StringIO()
    with EventStore.open(tmp_path, create=True) as store, pytest.raises(RecordError, match="no run 'run-1'"):
        export_jsonl(store, "run-1", out)
    assert out.getvalue() == ""


def test_lines_are_written_as_they_are_read_and_a_failing_file_is_told_as_it_is(tmp_path: Path) -> None:
    out = FullAfter(2)
    with EventStore.open(tmp_path, create=True) as store:
        store.begin_run(a_run())
        store.append(an_episode())
        with pytest.raises(OSError, match="no space left") as caught:
            export_jsonl(store, "run-1", out)
        assert not isinstance(caught.value, RecordError)
    assert len(out.getvalue().splitlines()) == 2


# Parquet -----------------------------------------------------------------------------------------

FLAGS = {"done": True, "terminated": False, "truncated": True}


def parquet_events() -> list[Event]:
    """Everything a row can hold: all kinds, a seed beyond 64 bits, a reward that is none, text of any script."""
    reply = {"observation": {"text": "two\nlines ü"}, "reward": 0.1 + 0.2, **FLAGS, "metadata": {}}
    return [
        *an_episode("a", steps=2),
        an_event(0, episode="b", request={"seed": 2**100}),
        an_event(1, episode="b", reply=reply),
        an_event(2, "error", episode="b"),
        an_event(3, "end", episode="b", reply={"status": "failed", "why": None}),
        an_event(0, episode="c", request={"seed": 2**63 - 1}, reply={"observation": None, "done": "yes"}),
    ]


def as_parquet(tmp_path: Path, events: list[Event], **options: int) -> bytes:
    out = io.BytesIO()
    with EventStore.open(tmp_path, create=True) as store:
        store.begin_run(a_run(seed=2**70, settings={"episodes": 3}))
        store.append(events)
        assert export_parquet(store, "run-1", out, **options) == len(events)
        again = io.BytesIO()
        export_parquet(store, "run-1", again, **options)
    assert again.getvalue() == out.getvalue()
    return out.getvalue()


def event_in(row: dict[str, Any]) -> Event:
    fields = {name: row[name] for name in ("run", "episode", "index", "kind", "at", "duration_s")}
    return Event(**fields, request=json.loads(row["request"]), reply=json.loads(row["reply"]))


def test_parquet_gives_every_event_back(tmp_path: Path) -> None:
    events = parquet_events()
    table = pq.read_table(io.BytesIO(as_parquet(tmp_path, events)))
    rows = table.to_pylist()
    assert [event_in(row) for row in rows] == events
    assert [row["reward"] for row in rows] == [None, 0.5, 0.5, None, None, 0.1 + 0.2, None, None, None]
    assert [row["seed"] for row in rows] == [7, None, None, None, None, None, None, None, 2**63 - 1]
    assert [row["status"] for row in rows] == [None, None, None, "done", None, None, None, "failed", None]
    assert {name: rows[5][name] for name in FLAGS} == FLAGS
    assert {name: rows[6][name] for name in FLAGS} == dict.fromkeys(FLAGS)
    assert rows[8]["done"] is None  # what is no truth value is only in the JSON
    run = msgspec.json.decode(table.schema.metadata[b"openenv.run"], type=Run)
    assert run == a_run(seed=2**70, settings={"episodes": 3})


@pytest.mark.parametrize("events", [[], [an_event(0, reply={})]], ids=["no events", "all null"])
def test_parquet_columns_do_not_depend_on_what_is_in_them(tmp_path: Path, events: list[Event]) -> None:
    full, small = tmp_path / "full", tmp_path / "small"
    schemas = [
        pq.read_schema(io.BytesIO(as_parquet(full, parquet_events()))),
        pq.read_schema(io.BytesIO(as_parquet(small, events))),
    ]
    assert schemas[0] == schemas[1]
    assert {field.name: str(field.type) for field in schemas[0] if field.name not in ("run", "episode", "kind")} == {
        "index": "int64",
        "at": "double",
        "duration_s": "double",
        "reward": "double",
        "done": "bool",
        "terminated": "bool",
        "truncated": "bool",
        "seed": "int64",
        "status": "string",
        "request": "string",
        "reply": "string",
    }


@pytest.mark.parametrize(
    ("options", "groups"),
    [({}, [9]), ({"group_events": 4}, [4, 4, 1]), ({"group_events": 3}, [3, 3, 3]), ({"group_characters": 1}, [1] * 9)],
    ids=str,
)
def test_parquet_is_written_in_groups(tmp_path: Path, options: dict[str, int], groups: list[int]) -> None:
    file = pq.ParquetFile(io.BytesIO(as_parquet(tmp_path, parquet_events(), **options)))
    found = [file.metadata.row_group(index).num_rows for index in range(file.metadata.num_row_groups)]
    assert found == groups
    assert [event_in(row) for row in file.read().to_pylist()] == parquet_events()


class NoSeeking(io.RawIOBase):
    """A file that takes bytes and nothing else, with room for some only."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.taken = room, b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        taken = bytes(data)
        if len(self.taken) + len(taken) > self.room:
            raise OSError("no space left")
        self.taken += taken
        return len(taken)


def test_a_pipe_will_do_for_parquet(tmp_path: Path) -> None:
    with EventStore.open(tmp_path, create=True) as store:
        store.begin_run(a_run())
        store.append(parquet_events())
        out = NoSeeking(10**6)
        assert export_parquet(store, "run-1", cast(BinaryIO, out)) == 9
    assert pq.read_table(io.BytesIO(out.taken)).num_rows == 9
    assert not out.closed


def test_half_a_parquet_file_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    with EventStore.open(tmp_path, create=True) as store:
        store.begin_run(a_run())
        store.append(parquet_events())
        with sqlite3.connect(store.path) as damaging:
            damaging.execute("UPDATE events SET reply = '{' WHERE position = 3")
        damaging.close()
        out = io.BytesIO()
        with pytest.raises(RecordError, match="damaged"):
            export_parquet(store, "run-1", out, group_events=2)
        assert out.getvalue()
        with pytest.raises(pa.ArrowInvalid):
            pq.read_table(io.BytesIO(out.getvalue()))
        with pytest.raises(OSError, match="no space left"):
            export_parquet(store, "run-1", cast(BinaryIO, NoSeeking(100)), group_events=1)


def test_parquet_of_a_run_that_is_not_there_writes_nothing(tmp_path: Path) -> None:
    out = io.BytesIO()
    with EventStore.open(tmp_path, create=True) as store:
        store.begin_run(a_run())
        with pytest.raises(RecordError, match="no run 'run'"):
            export_parquet(store, "run", out)  # the beginning of an id is not the id
    assert out.getvalue() == b""


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with EventStore.open(tmp_path, create=True) as store:
        store.begin_run(a_run())
        with pytest.raises(MissingExtra, match=r"pip install 'openenv\[parquet\]'"):
            export_parquet(store, "run-1", io.BytesIO())


def test_what_json_lacks_is_tagged(tmp_path: Path) -> None:
    with EventStore.open(tmp_path, create=True) as store:
        store.begin_run(a_run())
        store.append([an_event(0, reply={"frame": b"\xff", "reward": float("nan")})])
        out = io.StringIO()
        assert export_jsonl(store, "run-1", out) == 1
    line = json.loads(out.getvalue())
    assert line["reply"] == {
        "frame": {"$openenv": "bytes", "data": "/w=="},
        "reward": {"$openenv": "float", "value": "nan"},
    }
    assert (line["kind"], line["index"]) == ("reset", 0)
