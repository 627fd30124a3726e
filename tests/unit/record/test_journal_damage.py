"""Journals whose files are torn, damaged or not what they seem."""

from __future__ import annotations

import logging
import os
import random
import re
import struct
from pathlib import Path

import pytest
from tests.unit.record.journals import a_session, an_answer, contents, only_file, opened, written

from openenv.errors import RecordError
from openenv.record import Journal, Snapshotted
from openenv.record.frames import FRAME_BYTES
from openenv.record.segments import HEAD_BYTES, split

ENTRIES = [a_session(), an_answer(1, "reset"), an_answer(2), an_answer(3)]


@pytest.fixture
async def last(tmp_path: Path) -> int:
    """A journal of ``ENTRIES`` whose server was killed: the byte at which its last entry begins."""
    return split((await written(tmp_path, *ENTRIES, stop=False))[-1])[1]


def test_a_torn_end_is_cut_off_at_every_byte(tmp_path: Path, last: int, caplog: pytest.LogCaptureFixture) -> None:
    path = only_file(tmp_path)
    whole = path.read_bytes()
    for end in range(last, len(whole)):
        for rest in (b"", bytes(len(whole) - end), bytes(5000), random.Random(end).randbytes(50)):
            if whole[:end] + rest[: len(whole) - end] == whole:
                continue
            caplog.clear()
            path.write_bytes(whole[:end] + rest)
            assert contents(tmp_path) == ENTRIES[:-1], (end, rest)
            cut = len((whole[last:end] + rest).rstrip(b"\0"))  # zeros are room that was reserved
            assert [record.getMessage() for record in caplog.records] == (
                [f"{path}: cut off {cut} bytes after its last whole entry, at byte {last}"] if cut else []
            )
            assert path.read_bytes() == whole[:end] + rest
    path.write_bytes(whole)
    assert contents(tmp_path) == ENTRIES


def test_a_file_that_was_cut_at_any_byte_has_what_was_whole(tmp_path: Path, last: int) -> None:
    path = only_file(tmp_path)
    whole = path.read_bytes()
    ends = [*[split(position)[1] for position, _ in Journal.scan(tmp_path)][2:], len(whole)]
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        assert contents(tmp_path) == ENTRIES[: sum(one <= end for one in ends)], end


async def test_a_torn_file_is_followed_by_another(tmp_path: Path, last: int) -> None:
    path = only_file(tmp_path)
    os.truncate(path, last + 5)
    torn = path.read_bytes()
    await written(tmp_path, an_answer(4))
    assert contents(tmp_path) == [*ENTRIES[:-1], an_answer(4)]
    assert path.read_bytes() == torn


@pytest.mark.parametrize("head", [b"", b"OENV", b"OENVJRNL", b"OENVJRNL\1\0", bytes(12), bytes(5000)])
async def test_a_file_that_was_hardly_begun_has_no_entries(
    tmp_path: Path, last: int, head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "00000002.journal").write_bytes(head)
    assert contents(tmp_path) == ENTRIES
    assert "00000002.journal: its beginning was never written" in caplog.text
    assert list(Journal.recover(tmp_path)) == ["s1"]
    await written(tmp_path, an_answer(4))
    assert contents(tmp_path) == [*ENTRIES, an_answer(4)]
    assert (tmp_path / "00000003.journal").exists()


@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_is_found_wherever_it_is(tmp_path: Path, last: int, bit: int) -> None:
    path = only_file(tmp_path)
    whole = path.read_bytes()
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << bit
        path.write_bytes(damaged)
        if at >= last:  # nobody can tell it from an entry that was not written to its end
            assert contents(tmp_path) == ENTRIES[:-1]
            continue
        with pytest.raises(RecordError, match=r"is no journal|newer OpenEnv|is damaged at byte"):
            contents(tmp_path)
        if at % 16 == 0:
            with pytest.raises(RecordError, match=re.escape(str(path))):
                opened_anyway(tmp_path)
        assert path.read_bytes() == damaged
        assert len(list(tmp_path.glob("*.journal"))) == 1


def opened_anyway(directory: Path) -> None:
    import asyncio

    async def start() -> None:
        opened(directory)

    asyncio.run(start())


def test_damage_in_the_middle_is_told_with_place_and_remedy(tmp_path: Path, last: int) -> None:
    path = only_file(tmp_path)
    whole = path.read_bytes()
    positions = [split(position)[1] for position, _ in Journal.scan(tmp_path)]
    middle = positions[2]
    for damage in (whole[:middle] + whole[middle + 3 :], whole[:middle] + bytes(20) + whole[middle + 20 :]):
        path.write_bytes(damage)
        with pytest.raises(RecordError, match="restore it from a copy, or move it to another directory") as caught:
            contents(tmp_path)
        assert caught.value.details == {"path": str(path), "offset": middle}


def test_a_length_that_reaches_beyond_the_file_does_not_hide_what_follows(tmp_path: Path, last: int) -> None:
    path = only_file(tmp_path)
    whole = bytearray(path.read_bytes())
    second = [split(position)[1] for position, _ in Journal.scan(tmp_path)][1]
    struct.pack_into("<I", whole, second + 4, 2**32 - 1)
    path.write_bytes(whole)
    with pytest.raises(RecordError, match=f"is damaged at byte {second}"):
        contents(tmp_path)


async def test_a_journal_inside_a_snapshot_is_no_part_of_the_journal(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    await written(inner, *ENTRIES)
    data = only_file(inner).read_bytes()
    await written(outer, a_session(), Snapshotted("s1", "e1", 1, data + data), stop=False)
    path = only_file(outer)
    os.truncate(path, path.stat().st_size - 1)
    assert contents(outer) == [a_session()]


def test_a_newer_version_is_left_alone(tmp_path: Path, last: int) -> None:
    path = only_file(tmp_path)
    whole = bytearray(path.read_bytes())
    struct.pack_into("<I", whole, 8, 2)
    path.write_bytes(whole)
    expected = r"newer OpenEnv \(journal version 2, this one reads up to 1\); update it with: pip install -U openenv"
    with pytest.raises(RecordError, match=expected):
        contents(tmp_path)
    with pytest.raises(RecordError, match=expected):
        opened_anyway(tmp_path)


@pytest.mark.parametrize("content", [b"Dear diary,\n", b"Dear diary, today I was no journal.\n", b"OENVJRN!" * 4])
def test_a_file_of_another_program_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "00000001.journal"
    path.write_bytes(content)
    for use in (contents, opened_anyway):
        with pytest.raises(RecordError, match=r"00000001\.journal is no journal of OpenEnv; name another directory"):
            use(tmp_path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", ["directory", "link", "pipe"])
def test_what_is_no_file_is_refused(tmp_path: Path, last: int, kind: str) -> None:
    path, real = tmp_path / "00000002.journal", only_file(tmp_path)
    {"directory": path.mkdir, "link": lambda: path.symlink_to(real), "pipe": lambda: os.mkfifo(path)}[kind]()
    with pytest.raises(RecordError, match=r"00000002\.journal is no journal of OpenEnv"):
        contents(tmp_path)


async def test_other_files_do_not_matter(tmp_path: Path, last: int) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "1.journal").write_text("mine too")
    (tmp_path / "00000002.journal.bak").write_text("a copy")
    assert contents(tmp_path) == ENTRIES


def test_an_entry_of_an_unknown_kind_is_told(tmp_path: Path, last: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import msgspec

    from openenv.record import entries

    known = msgspec.msgpack.Decoder(entries.Began).decode
    monkeypatch.setattr(entries, "_decode", known)
    with pytest.raises(RecordError, match=r"is not one that this OpenEnv knows .*pip install -U openenv"):
        contents(tmp_path)


async def test_a_position_without_an_entry_is_told(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    position = journal.append(an_answer())
    await journal.written(position)
    for wrong in (position + 1, position + 10_000):
        with pytest.raises(RecordError, match="no whole entry at byte"):
            journal.read(wrong)
    with pytest.raises(RecordError, match=r"cannot read the journal file .*00000009\.journal"):
        journal.read(9 << 40 | HEAD_BYTES)
    assert journal.read(position) == an_answer()
    path = only_file(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[split(position)[1] + FRAME_BYTES + 3] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(RecordError, match="no whole entry at byte"):
        journal.read(position)
    await journal.aclose()


def test_nothing_is_logged_of_a_whole_journal(tmp_path: Path, last: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        contents(tmp_path)
        Journal.recover(tmp_path)
    assert caplog.records == []
