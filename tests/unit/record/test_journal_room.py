"""Journals that are written by way of memory: what is in the file when, and what is left of the room."""

from __future__ import annotations

import errno
import logging
import os
import random
import shutil
from pathlib import Path

import pytest
from tests.unit.record.journals import (
    Writes,
    a_session,
    an_answer,
    child,
    contents,
    files,
    only_file,
    opened,
    refused,
    written,
)

from openenv.errors import RecordError
from openenv.record import (
    Answered,
    Began,
    Entry,
    Journal,
    SessionEnded,
    Snapshotted,
    Stopped,
    journal_events,
    open_recorded,
    room,
    segments,
)
from openenv.record.frames import FRAME_BYTES
from openenv.record.room import reserve_bytes
from openenv.record.segments import split


@pytest.fixture(autouse=True)
def reserving(tmp_path: Path) -> None:
    """These tests need a file system that reserves room."""
    with open(tmp_path / "probe", "wb") as file:
        try:
            reserve_bytes(file.fileno(), 0, 4096)
        except OSError:
            pytest.skip("this file system does not reserve room")
    (tmp_path / "probe").unlink()


def end_of(path: Path) -> int:
    """Where the last entry of a journal's only file ends."""
    *_, (last, _) = Journal.scan(path.parent)
    begin = split(last)[1]
    return begin + FRAME_BYTES + int.from_bytes(path.read_bytes()[begin + 4 : begin + 8], "little")


async def test_what_is_appended_is_in_the_file_without_a_call(tmp_path: Path) -> None:
    writes = Writes()
    journal = opened(tmp_path, write=writes)
    entries: list[Entry] = [a_session(), *(an_answer(number) for number in range(1, 50))]
    calls = len(writes.calls)
    for number, entry in enumerate(entries):
        position = journal.append(entry)
        told: list[RecordError | None] = []
        journal.call_when_written(position, told.append)
        assert told == [None]
        assert contents(tmp_path) == entries[: number + 1]
        assert journal.read(position) == entry
    assert len(writes.calls) == calls
    await journal.aclose()
    *_, (last, stopped) = Journal.scan(tmp_path)
    assert isinstance(stopped, Stopped)
    path = only_file(tmp_path)
    assert split(last)[1] < path.stat().st_size == end_of(path)  # the room was given back


async def test_entries_of_all_sizes_come_out_in_order(tmp_path: Path) -> None:
    rng = random.Random(7)
    writes = Writes()
    journal = opened(tmp_path, write=writes)
    sizes = [rng.choice((0, 10, 300, 3000, 3980, 4080, 4100, 60_000, 70_000)) for _ in range(400)]
    sizes += [1000] * 3000  # over the end of several rooms
    entries: list[Entry] = []
    for number, size in enumerate(sizes):
        entries.append(Snapshotted("s1", "e1", number, rng.randbytes(size)))
        position = journal.append(entries[-1])
        if number % 3 == 0 and number < 400:  # else the next one comes while it waits
            await journal.written(position)
            assert journal.read(position) == entries[-1]
    await journal.aclose()
    assert contents(tmp_path) == entries
    assert only_file(tmp_path).stat().st_size == end_of(only_file(tmp_path))
    assert len(writes.calls) < 400
    assert only_file(tmp_path).stat().st_blocks * 512 < only_file(tmp_path).stat().st_size + 100_000


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EOPNOTSUPP])
async def test_what_finds_no_room_is_written(tmp_path: Path, code: int) -> None:
    asked = 0

    def none(descriptor: int, start: int, length: int) -> None:
        nonlocal asked
        asked += 1
        raise OSError(code, os.strerror(code))

    writes = Writes()
    journal = opened(tmp_path, write=writes, reserve=none, segment_bytes=1000)
    entries = [an_answer(number) for number in range(20)]
    calls = len(writes.calls)
    for number, entry in enumerate(entries, 1):
        journal.append(entry)
        journal.flush_now()
        assert len(writes.calls) >= calls + number
    assert asked == len(files(tmp_path)) > 1  # once for each file
    assert journal.failure is None
    assert contents(tmp_path) == entries
    await journal.aclose()


async def test_room_that_is_refused_later_ends_it(tmp_path: Path) -> None:
    asked: list[int] = []

    def once(descriptor: int, start: int, length: int) -> None:
        asked.append(start)
        if len(asked) > 1:
            refused(descriptor, start, length)
        reserve_bytes(descriptor, start, length)

    journal = opened(tmp_path, reserve=once)
    entries = [an_answer(number) for number in range(1000)]
    await journal.written([journal.append(entry) for entry in entries][-1])
    assert len(asked) == 2
    assert contents(tmp_path) == entries
    assert only_file(tmp_path).stat().st_size == end_of(only_file(tmp_path))
    await journal.aclose()


async def test_large_entries_ask_for_no_room(tmp_path: Path) -> None:
    asked: list[int] = []

    def reserve(descriptor: int, start: int, length: int) -> None:
        asked.append(start)
        reserve_bytes(descriptor, start, length)

    journal = opened(tmp_path, reserve=reserve)
    for number in range(30):
        await journal.written(journal.append(Snapshotted("s1", "e1", number, bytes(50_000))))
    assert len(asked) == 1  # behind the file's beginning
    await journal.written(journal.append(an_answer(1)))
    assert len(asked) == 2
    await journal.aclose()


async def test_sessions_that_open_and_end_in_the_room_are_counted(tmp_path: Path) -> None:
    journal = opened(tmp_path, segment_bytes=4096)

    async def fill(file: int) -> Began:
        while not (path := tmp_path / f"{file:08}.journal").exists():
            await journal.written(journal.append(an_answer(session="other")))
        began = next(iter(segments.read_segment(segments.Segment(file, path))))[1]
        assert isinstance(began, Began)
        return began

    journal.append(a_session("one"))
    assert (await fill(2)).needed_from == 1
    journal.append(SessionEnded("one", "closed", 1.0))
    assert (await fill(3)).needed_from == 3
    await journal.aclose()


def test_a_file_system_that_may_find_no_place_for_a_page_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_KEEPING", {"btrfs"})
    with open(tmp_path / "file", "wb") as file, pytest.raises(OSError, match="not supported"):
        reserve_bytes(file.fileno(), 0, 4096)


async def test_a_disk_that_fails_behind_the_room_leaves_whole_entries(tmp_path: Path) -> None:
    writes = Writes()
    journal = opened(tmp_path, write=writes)
    journal.append(an_answer(1))
    end = end_of(only_file(tmp_path))

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 5000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(descriptor, data[: len(data) // 2])

    writes.failing = half
    with pytest.raises(RecordError, match="No space left on device"):
        await journal.written(journal.append(Snapshotted("s1", "e1", 1, bytes(9000))))
    assert only_file(tmp_path).stat().st_size == end
    with pytest.raises(RecordError, match="No space left on device"):
        await journal.written(journal.append(an_answer(2)))
    with pytest.raises(RecordError, match="No space left on device"):
        await journal.aclose()
    assert contents(tmp_path) == [an_answer(1)]


async def test_durable_has_no_room(tmp_path: Path) -> None:
    journal = opened(tmp_path, "durable")
    await journal.written(journal.append(an_answer(1)))
    assert only_file(tmp_path).stat().st_size == end_of(only_file(tmp_path))
    await journal.aclose()


# What a killed server leaves -----------------------------------------------------------------------

ENTRIES = [a_session(), an_answer(1, "reset"), an_answer(2), an_answer(3)]


@pytest.fixture
async def left(tmp_path: Path) -> Path:
    """A directory with the file of a server that was killed after ``ENTRIES``."""
    journal = opened(tmp_path / "live")
    for entry in ENTRIES:
        journal.append(entry)
    directory = tmp_path / "left"
    directory.mkdir()
    shutil.copy(only_file(tmp_path / "live"), directory)
    await journal.aclose()
    assert end_of(only_file(directory)) < only_file(directory).stat().st_size
    return directory


async def test_room_that_was_left_is_the_end(left: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = only_file(left).read_bytes()
    assert contents(left) == ENTRIES
    assert list(Journal.recover(left)) == ["s1"]
    await written(left, an_answer(4))
    assert contents(left) == [*ENTRIES, an_answer(4)]
    assert (left / "00000001.journal").read_bytes() == before
    assert caplog.records == []


def test_what_was_half_put_is_cut_off(left: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = only_file(left)
    whole = path.read_bytes()
    last = split(list(Journal.scan(left))[-1][0])[1]
    for head in (0, 3, 4, 11):  # bytes of its head that came to be there; what it says came before them
        caplog.clear()
        path.write_bytes(whole[: last + head] + bytes(12 - head) + whole[last + 12 :])
        assert contents(left) == ENTRIES[:-1]
        cut = len(path.read_bytes().rstrip(b"\0")) - last
        assert f"cut off {cut} bytes after its last whole entry, at byte {last}" in caplog.text


def test_damage_before_whole_entries_is_damage_in_a_room_too(left: Path) -> None:
    path = only_file(left)
    whole = path.read_bytes()
    middle = split(list(Journal.scan(left))[2][0])[1]
    path.write_bytes(whole[:middle] + bytes(12) + whole[middle + 12 :])
    with pytest.raises(RecordError, match=f"is damaged at byte {middle}, before its last entry"):
        contents(left)


# Readers of a live journal -------------------------------------------------------------------------


def test_an_entry_that_is_put_while_it_is_read_is_no_damage(
    left: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = only_file(left)
    whole = path.read_bytes()
    middle = split(list(Journal.scan(left))[2][0])[1]
    path.write_bytes(whole[:middle] + bytes(12) + whole[middle + 12 :])
    known = segments.has_frame

    def later(content: bytes, salt: int) -> bool:
        path.write_bytes(whole)  # as the server does, between two looks
        return known(content, salt)

    monkeypatch.setattr(segments, "has_frame", later)
    assert contents(left) == ENTRIES
    assert caplog.records == []


_WRITER = """
import asyncio, json, os, sys
from openenv.record import Answered, Journal, SessionOpened
async def main():
    journal = Journal.open(sys.argv[1], "relaxed", lambda: 0.0, segment_bytes=3_000_000)
    journal.append(SessionOpened("s", b"", b"", {"name": "echo"}, 1.0))
    reply = json.dumps({"observation": {"text": "x" * 100}, "reward": 1.0}).encode()
    journal.append(Answered("s", 1, "", "reset", b"{}", reply, 1.0, 0.1, "e"))
    os.write(1, b"begun\\n")
    for number in range(2, 40_000):
        journal.append(Answered("s", number, "", "step", b'{"action": 1}', reply, 1.0, 0.1, "e"))
        journal.flush_now()
    os.write(1, b"done\\n")
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""


def test_readers_do_not_mind_a_server_that_writes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    process = child(_WRITER, str(tmp_path))
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    seen = 0
    with caplog.at_level(logging.ERROR):  # a half-put entry may be seen, and told as a warning
        while process.poll() is None:
            numbers = [entry.id for _, entry in Journal.scan(tmp_path) if isinstance(entry, Answered)]
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(numbers) >= seen
            with open_recorded(tmp_path) as store:
                (summary,) = store.episodes(store.runs()[0].id)
            assert summary.length >= len(numbers) - 1
            seen = summary.length
    assert process.stdout.read() == b"done\n"
    process.stdout.close()
    assert sum(1 for _ in journal_events(tmp_path)) == 39_999
