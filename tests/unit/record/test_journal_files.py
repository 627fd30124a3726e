"""The files of a journal: when the next begins, which are kept, and who may write."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.record.journals import (
    a_session,
    an_answer,
    child,
    contents,
    files,
    now,
    only_file,
    opened,
    written,
)

from openenv.errors import RecordError
from openenv.record import Answered, Began, Entry, Journal, SessionEnded, SessionOpened, Snapshotted

ENTRIES = [
    a_session(),
    an_answer(1, "reset"),
    an_answer(2),
    Snapshotted("s1", "e1", 1, b"\xff\0"),
    an_answer(3, "error"),
]


# Files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["relaxed", "durable"])
async def test_a_file_that_is_large_enough_is_followed_by_the_next(tmp_path: Path, mode: str) -> None:
    journal = opened(tmp_path, mode, segment_bytes=2000)
    entries: list[Entry] = []
    positions = []
    for turn in range(10):
        for number in range(turn * 3, turn * 3 + 3):  # a new file may begin within a turn
            entries.append(an_answer(number))
            positions.append(journal.append(entries[-1]))
        await journal.written(positions[-1])
    assert contents(tmp_path) == entries
    assert positions == sorted(positions)
    assert [journal.read(position) for position in positions] == entries
    await journal.aclose()
    assert len(files(tmp_path)) == 3
    assert max((tmp_path / name).stat().st_size for name in files(tmp_path)) < 2500


async def test_each_start_begins_a_file_of_the_same_journal(tmp_path: Path) -> None:
    await written(tmp_path, an_answer(1), environment="echo")
    before = only_file(tmp_path).read_bytes()
    later = Journal.open(tmp_path, "relaxed", lambda: 2000.0, environment="echo")
    await later.written(later.append(an_answer(2)))
    await later.aclose()
    began = [entry for _, entry in Journal.scan(tmp_path) if isinstance(entry, Began)]
    assert [(one.at, one.started_at, one.environment) for one in began] == [
        (1000.0, 1000.0, "echo"),
        (2000.0, 1000.0, "echo"),
    ]
    assert began[0].run == began[1].run
    assert contents(tmp_path) == [an_answer(1), an_answer(2)]
    assert (tmp_path / "00000001.journal").read_bytes() == before


async def test_old_files_go_once_their_sessions_have_ended(tmp_path: Path) -> None:
    journal = opened(tmp_path, segment_bytes=1000, keep_bytes=3000)

    async def play(session: str, steps: int) -> None:
        for number in range(steps):
            await journal.written(journal.append(an_answer(number, session=session)))

    journal.append(a_session("long"))
    await play("long", 20)
    assert (tmp_path / "00000001.journal").exists()  # it is needed, whatever the limit says
    journal.append(SessionEnded("long", "closed", 1.0))
    journal.append(a_session("next"))
    await play("next", 10)
    assert "00000001.journal" not in files(tmp_path)
    assert "next" in Journal.recover(tmp_path)
    assert len(Journal.recover(tmp_path)["next"].numbered) == 10
    await journal.aclose()


async def test_a_start_keeps_what_unfinished_sessions_need(tmp_path: Path) -> None:
    await written(tmp_path, a_session("ended"), SessionEnded("ended", "closed", 2.0))
    await written(tmp_path, a_session("open"))
    journal = opened(tmp_path, keep_bytes=0)
    assert files(tmp_path) == ["00000002.journal", "00000003.journal"]
    assert list(journal.recovered) == ["open"]
    journal.append(SessionEnded("open", "lost", 3.0))
    await journal.aclose()
    again = opened(tmp_path, keep_bytes=0)
    assert files(tmp_path) == ["00000004.journal"]
    await again.aclose()


async def test_files_stay_while_there_is_room(tmp_path: Path) -> None:
    for number in range(4):
        await written(tmp_path, a_session(), SessionEnded("s1", "closed", 1.0), Snapshotted("s1", "e1", 0, bytes(1000)))
        assert len(files(tmp_path)) == number + 1
    size = (tmp_path / files(tmp_path)[0]).stat().st_size
    await opened(tmp_path, keep_bytes=10_000).aclose()
    assert len(files(tmp_path)) == 5
    await opened(tmp_path, keep_bytes=3 * size).aclose()
    assert files(tmp_path) == [f"0000000{number}.journal" for number in (3, 4, 5, 6)]  # 5 and 6 are nearly empty


async def test_everything_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    for _ in range(5):
        await written(tmp_path, an_answer(), segment_bytes=1)
    assert len(contents(tmp_path)) == 5


# One server ----------------------------------------------------------------------------------------


async def test_a_second_server_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(RecordError, match=rf"in use by the server with pid {os.getpid()}; stop that one") as caught:
        opened(tmp_path)
    assert caught.value.details["pid"] == str(os.getpid())
    assert sorted(os.listdir(tmp_path)) == before
    await journal.aclose()
    await opened(tmp_path).aclose()


async def test_a_forked_child_does_not_keep_the_next_server_out(tmp_path: Path) -> None:
    code = """
import asyncio, os, sys
from openenv.record import Journal
async def main():
    Journal.open(sys.argv[1], "relaxed", lambda: 0.0)
    if os.fork() == 0:
        os.write(1, b"forked\\n")
        os.read(0, 1)  # lives on until the test lets go
    os._exit(0)
asyncio.run(main())
"""
    reading, writing = os.pipe()
    saved = os.dup(0)
    os.dup2(reading, 0)
    try:
        process = child(code, str(tmp_path))
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(reading)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"forked\n"
        assert process.wait() == 0
        await opened(tmp_path).aclose()
    finally:
        os.close(writing)  # ends the forked child
        assert process.stdout is not None
        process.stdout.read()  # it is gone once nobody holds the pipe
        process.stdout.close()


async def test_a_directory_of_an_event_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "events.sqlite").touch()
    with pytest.raises(RecordError, match="has an event store; name a directory of its own"):
        opened(tmp_path)


async def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match=r"cannot write the journal in .*name another directory"):
        opened(tmp_path / "file" / "journal")


# Any entry -----------------------------------------------------------------------------------------

_text = st.text(st.characters(codec="utf-8"), max_size=20)
_times = st.floats(allow_nan=False)
_entries = st.one_of(
    st.builds(
        SessionOpened, _text, st.binary(max_size=40), st.binary(max_size=40), st.dictionaries(_text, _text), _times
    ),
    st.builds(
        Answered,
        _text,
        st.integers(0, 2**63 - 1),
        _text,
        st.sampled_from(["reset", "step", "close", "error"]),
        st.binary(max_size=5000),
        st.binary(max_size=5000),
        _times,
        _times,
        _text,
    ),
    st.builds(Snapshotted, _text, _text, st.integers(0, 2**31), st.binary(max_size=100)),
    st.builds(SessionEnded, _text, _text, _times),
)


@settings(max_examples=60, deadline=None)
@given(
    entries=st.lists(_entries, max_size=30), segment_bytes=st.sampled_from([1, 300, 10_000]), turns=st.integers(1, 9)
)
def test_what_goes_in_comes_out(entries: list[Entry], segment_bytes: int, turns: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)

        async def write() -> None:
            journal = Journal.open(directory, "relaxed", now, segment_bytes=segment_bytes)
            for number, entry in enumerate(entries):
                position = journal.append(entry)
                if number % turns == 0:
                    await journal.written(position)
                    assert journal.read(position) == entry
            await journal.aclose()

        asyncio.run(write())
        assert contents(directory) == entries
