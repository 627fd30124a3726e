"""Runs as files of other formats."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from tests.unit.record.samples import a_run, an_episode, an_event

from openenv.errors import RecordError
from openenv.record import EventStore, export_jsonl


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
