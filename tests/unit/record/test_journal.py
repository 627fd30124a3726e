"""The journal as a server uses it: when entries are written, and what is promised then."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from pathlib import Path

import pytest
from tests.unit.record.journals import (
    Disk,
    Writes,
    a_session,
    an_answer,
    contents,
    only_file,
    opened,
    refused,
    written,
)

from openenv.errors import RecordError
from openenv.record import Journal, Snapshotted, Stopped

ENTRIES = [
    a_session(),
    an_answer(1, "reset"),
    an_answer(2),
    Snapshotted("s1", "e1", 1, b"\xff\0"),
    an_answer(3, "error"),
]


async def test_what_was_written_is_read_by_position_and_in_order(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    positions = [journal.append(entry) for entry in ENTRIES]
    await journal.written(positions[-1])
    assert [journal.read(position) for position in positions] == ENTRIES
    assert contents(tmp_path) == ENTRIES
    assert [position for position, _ in Journal.scan(tmp_path)][1:] == positions
    await journal.aclose()
    *_, (_, last) = Journal.scan(tmp_path)
    assert last == Stopped(1000.0)


async def test_an_entry_of_this_turn_can_be_read_at_once(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    assert journal.read(journal.append(an_answer())) == an_answer()
    await journal.aclose()


async def test_its_files_are_for_this_user_only(tmp_path: Path) -> None:
    await written(tmp_path / "deep" / "journal", a_session())
    assert stat.S_IMODE((tmp_path / "deep" / "journal").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "deep" / "journal").iterdir()} == {0o600}


async def test_all_sessions_of_a_turn_share_one_write(tmp_path: Path) -> None:
    writes = Writes()
    journal = opened(tmp_path, write=writes, reserve=refused)
    before = len(writes.calls)

    async def step(number: int) -> None:
        position = journal.append(an_answer(number))
        assert len(writes.calls) == before
        await journal.written(position)
        assert len(contents(tmp_path)) == 64

    await asyncio.gather(*map(step, range(64)))
    assert len(writes.calls) == before + 1
    await journal.aclose()


async def test_who_is_alone_does_not_wait_for_the_turn(tmp_path: Path) -> None:
    writes = Writes()
    journal = opened(tmp_path, write=writes, reserve=refused)
    position = journal.append(an_answer())
    journal.flush_now()
    assert contents(tmp_path) == [an_answer()]
    told: list[RecordError | None] = []
    journal.call_when_written(position, told.append)
    assert told == [None]
    calls = len(writes.calls)
    journal.flush_now()
    await journal.written(position)
    await asyncio.sleep(0)  # the end of the turn finds nothing to do
    assert len(writes.calls) == calls
    await journal.aclose()


async def test_callbacks_are_told_after_the_write(tmp_path: Path) -> None:
    journal = opened(tmp_path, reserve=refused)
    seen: list[tuple[RecordError | None, int]] = []
    position = journal.append(an_answer())
    journal.call_when_written(position, lambda error: seen.append((error, len(contents(tmp_path)))))
    assert seen == []
    await journal.written(position)
    assert seen == [(None, 1)]
    await journal.aclose()


async def test_a_waiter_that_is_cancelled_disturbs_nobody(tmp_path: Path) -> None:
    journal = opened(tmp_path, reserve=refused)
    position = journal.append(an_answer())

    first, second = asyncio.ensure_future(journal.written(position)), asyncio.ensure_future(journal.written(position))
    first.cancel()
    await second
    assert first.cancelled()
    await journal.aclose()


async def test_entries_that_nobody_waits_for_are_written_too(tmp_path: Path) -> None:
    journal = opened(tmp_path, reserve=refused)
    journal.append(an_answer())
    await asyncio.sleep(0)
    assert contents(tmp_path) == [an_answer()]
    await journal.aclose()


async def test_durable_waiters_share_the_syncs(tmp_path: Path) -> None:
    disk = Disk()
    disk.allow(1)  # of the file's beginning
    journal = opened(tmp_path, "durable", sync=disk.sync)
    assert disk.calls == 1
    first = asyncio.ensure_future(journal.written(journal.append(an_answer(0))))
    journal.flush_now()
    await asyncio.to_thread(disk.await_call, 2)
    later = [asyncio.ensure_future(journal.written(journal.append(an_answer(number)))) for number in range(1, 64)]
    await asyncio.sleep(0)
    assert disk.calls == 2
    assert not first.done()
    disk.allow(1)
    await first
    await asyncio.to_thread(disk.await_call, 3)
    assert not any(one.done() for one in later)  # theirs is not on the disk
    disk.allow(1)
    await asyncio.gather(*later)
    assert disk.calls == 3
    disk.allow(1)
    await journal.aclose()
    assert contents(tmp_path) == [an_answer(number) for number in range(64)]


async def test_a_waiter_of_what_is_being_synced_is_told_with_it(tmp_path: Path) -> None:
    disk = Disk()
    disk.allow(1)
    journal = opened(tmp_path, "durable", sync=disk.sync)
    position = journal.append(an_answer(0))
    journal.flush_now()
    late = asyncio.ensure_future(journal.written(position))
    await asyncio.to_thread(disk.await_call, 2)
    disk.allow(1)
    await late
    assert disk.calls == 2
    disk.allow(1)
    await journal.aclose()


async def test_a_sync_that_fails_fails_the_journal(tmp_path: Path) -> None:
    disk = Disk()
    disk.allow(1)
    journal = opened(tmp_path, "durable", sync=disk.sync)
    first = asyncio.ensure_future(journal.written(journal.append(an_answer(1))))
    journal.flush_now()
    await asyncio.to_thread(disk.await_call, 2)
    second = asyncio.ensure_future(journal.written(journal.append(an_answer(2))))
    disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
    disk.allow(1)
    for waiter in (first, second):
        with pytest.raises(RecordError, match="Input/output error"):
            await waiter
    with pytest.raises(RecordError, match="Input/output error"):
        await journal.aclose()
    assert contents(tmp_path) == []


async def test_relaxed_never_syncs(tmp_path: Path) -> None:
    disk = Disk()
    await written(tmp_path, a_session(), sync=disk.sync)
    assert disk.calls == 0


async def test_a_close_that_is_cancelled_leaves_nothing_open(tmp_path: Path) -> None:
    disk = Disk()
    disk.allow(1)
    journal = opened(tmp_path, "durable", sync=disk.sync)
    journal.append(an_answer(1))
    journal.flush_now()
    await asyncio.to_thread(disk.await_call, 2)
    waiter = asyncio.ensure_future(journal.written(journal.append(an_answer(2))))
    closing = asyncio.create_task(journal.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    disk.allow(1)
    with pytest.raises(asyncio.CancelledError):
        await closing
    with pytest.raises(RecordError, match="closed before all of it was written"):
        await waiter
    again = opened(tmp_path)
    await again.aclose()
    assert contents(tmp_path) == [an_answer(1)]


async def test_a_full_disk_fails_the_journal_and_leaves_whole_entries(tmp_path: Path) -> None:
    writes = Writes()
    journal = opened(tmp_path, write=writes, reserve=refused)
    await journal.written(journal.append(an_answer(1)))

    def half(descriptor: int, data: bytes) -> int:
        if len(writes.calls) % 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(descriptor, data[: len(data) // 2])

    writes.calls, writes.failing = [0], half
    size = only_file(tmp_path).stat().st_size
    positions = [journal.append(an_answer(2)), journal.append(an_answer(3))]
    assert journal.failure is None
    for position in positions:
        with pytest.raises(RecordError, match=r"No space left on device.*free some space.*start the server again"):
            await journal.written(position)
    assert len(writes.calls) == 3
    assert only_file(tmp_path).stat().st_size == size
    writes.failing = None  # room again: what was lost stays lost, so nothing more is taken
    with pytest.raises(RecordError, match="No space left"):
        await journal.written(journal.append(an_answer(4)))
    told: list[RecordError | None] = []
    journal.call_when_written(journal.append(an_answer(5)), told.append)
    assert [str(error) for error in told] == [str(journal.failure)]
    with pytest.raises(RecordError, match="No space left"):
        await journal.aclose()
    assert contents(tmp_path) == [an_answer(1)]
    await opened(tmp_path).aclose()


async def test_a_disk_that_takes_little_at_once_gets_everything(tmp_path: Path) -> None:
    entries = [an_answer(number) for number in range(5)]
    few = Writes(lambda descriptor, data: os.write(descriptor, data[:7]))
    await written(tmp_path, *entries, write=few, reserve=refused)
    assert contents(tmp_path) == entries


async def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    await journal.aclose()
    await journal.aclose()
    with pytest.raises(RecordError, match="was closed"):
        journal.append(an_answer())


async def test_an_entry_without_a_form_is_refused_and_the_journal_goes_on(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for bad in (a_session(lock=object()), a_session(lock=2**70), a_session("\ud800")):
        with pytest.raises(RecordError, match="SessionOpened has no form"):
            journal.append(bad)
    await journal.written(journal.append(an_answer()))
    await journal.aclose()
    assert contents(tmp_path) == [an_answer()]


async def test_an_entry_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openenv.record.journal.MAX_ENTRY_BYTES", 500)
    journal = opened(tmp_path, reserve=refused)
    with pytest.raises(RecordError, match="500 is the most"):
        journal.append(Snapshotted("s1", "e1", 1, bytes(500)))
    await journal.written(journal.append(an_answer()))
    await journal.aclose()
    assert contents(tmp_path) == [an_answer()]
