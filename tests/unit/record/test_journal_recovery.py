"""What a server finds of the sessions that an earlier one left open."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from tests.unit.record.journals import a_session, an_answer, files, opened, written

from openenv.record import Entry, Journal, Recovered, SessionEnded, Snapshotted
from openenv.record.recovery import KEPT_REASONS


async def recovered(directory: Path, *entries: Entry) -> tuple[Recovered, list[int]]:
    """The only session of these entries that did not end, and the positions of all entries."""
    positions = await written(directory, *entries, stop=False)
    (found,) = Journal.recover(directory).values()
    return found, positions


async def test_a_session_before_its_first_reset(tmp_path: Path) -> None:
    found, (at,) = await recovered(tmp_path, a_session())
    assert found == Recovered(at, a_session())
    assert (found.opening.nonce_digest, found.opening.environment) == (b"n" * 32, {"name": "echo"})


async def test_sessions_that_ended_are_not_recovered(tmp_path: Path) -> None:
    ended = [a_session("a"), an_answer(1, "reset", "a"), an_answer(2, "close", "a"), SessionEnded("a", "closed", 3.0)]
    await written(tmp_path, *ended, a_session("b"), a_session("c"), SessionEnded("b", "idle", 4.0))
    assert list(Journal.recover(tmp_path)) == ["c"]
    journal = opened(tmp_path)
    assert (list(journal.recovered), journal.reasons) == (["c"], {"b": "idle"})
    await journal.aclose()


async def test_of_sessions_that_ended_the_last_reasons_are_known(tmp_path: Path) -> None:
    many = [SessionEnded(str(number), "idle", 1.0) for number in range(KEPT_REASONS + 2)]
    await written(tmp_path, a_session("open"), *many)
    journal = opened(tmp_path)
    assert list(journal.reasons) == [str(number) for number in range(2, KEPT_REASONS + 2)]
    await journal.aclose()


async def test_resets_are_counted_also_where_they_failed(tmp_path: Path) -> None:
    entries = [
        a_session(),
        an_answer(1, "reset"),
        an_answer(2),
        an_answer(3, "error", request=b'{"type":"reset","session":"s1","id":3}'),
        an_answer(4, "error", request=b'{"type":"step","session":"s1","id":4}'),
        an_answer(5, "error", request=b"{damaged"),
    ]
    found, _ = await recovered(tmp_path, *entries)
    assert found.resets == 2


async def test_the_current_episode_begins_at_the_last_reset(tmp_path: Path) -> None:
    entries = [
        a_session(),
        an_answer(1, "reset"),
        an_answer(2),
        an_answer(3, "reset", episode="e2"),
        an_answer(4, episode="e2"),
        an_answer(5, "error", episode="e2"),
        an_answer(6, episode="e2"),
        an_answer(7, "close", episode="e2"),  # and killed before the session's end was written
    ]
    found, positions = await recovered(tmp_path, *entries)
    assert (found.episode, found.reset, found.snapshot, found.first_index) == ("e2", positions[3], None, 0)
    assert list(found.replay) == positions[3:7]
    assert found.highest_id == 7


async def test_a_snapshot_stands_for_the_answers_it_contains(tmp_path: Path) -> None:
    entries = [
        a_session(),
        an_answer(1, "reset"),
        an_answer(2),
        an_answer(3),
        an_answer(4),  # answered while the snapshot of the two before it was being written
        Snapshotted("s1", "e1", 2, b"world"),
        an_answer(5),
    ]
    found, positions = await recovered(tmp_path, *entries)
    assert (found.reset, found.snapshot, found.first_index) == (positions[1], positions[5], 3)
    assert list(found.replay) == [positions[4], positions[6]]


async def test_the_newest_snapshot_counts(tmp_path: Path) -> None:
    entries = [a_session(), an_answer(1, "reset"), an_answer(2), Snapshotted("s1", "e1", 0, b"0"), an_answer(3)]
    found, positions = await recovered(
        tmp_path, *entries, Snapshotted("s1", "e1", 2, b"2"), an_answer(4), Snapshotted("s1", "e1", 1, b"late")
    )
    assert (found.snapshot, found.first_index, list(found.replay)) == (positions[5], 3, [positions[6]])


@pytest.mark.parametrize("strange", [Snapshotted("s1", "e0", 0, b""), Snapshotted("s1", "e1", 9, b"")])
async def test_a_snapshot_of_something_else_changes_nothing(tmp_path: Path, strange: Snapshotted) -> None:
    found, positions = await recovered(tmp_path, a_session(), an_answer(1, "reset"), an_answer(2), strange)
    assert (found.snapshot, list(found.replay)) == (None, positions[1:3])


async def test_a_reset_forgets_the_snapshot(tmp_path: Path) -> None:
    entries = [a_session(), an_answer(1, "reset"), Snapshotted("s1", "e1", 0, b"")]
    found, positions = await recovered(tmp_path, *entries, an_answer(2, "reset", episode="e2"))
    assert (found.snapshot, found.first_index, list(found.replay)) == (None, 0, [positions[3]])


async def test_the_last_32_answers_of_each_kind_are_kept(tmp_path: Path) -> None:
    numbered = [an_answer(number, "reset" if number == 1 else "step") for number in range(1, 41)]
    keyed = [an_answer(0, key=f"k{number}") for number in range(40)]
    found, positions = await recovered(tmp_path, a_session(), *numbered, *keyed)
    assert [(kept.id, kept.position) for kept in found.numbered] == [(id_, positions[id_]) for id_ in range(9, 41)]
    assert [(kept.key, kept.position) for kept in found.keyed] == [(f"k{n}", positions[41 + n]) for n in range(8, 40)]
    assert found.highest_id == 40


async def test_a_session_goes_on_in_the_files_of_later_servers(tmp_path: Path) -> None:
    first = await written(tmp_path, a_session(), an_answer(1, "reset"), an_answer(2), segment_bytes=400, stop=False)
    second = await written(tmp_path, an_answer(3), stop=False)
    journal = opened(tmp_path)
    found = journal.recovered["s1"]
    assert list(found.replay) == [*first[1:], *second]
    assert [journal.read(position) for position in found.replay] == [an_answer(1, "reset"), an_answer(2), an_answer(3)]
    journal.append(SessionEnded("s1", "lost", 5.0))
    await journal.aclose()
    assert Journal.recover(tmp_path) == {}


async def test_files_that_no_open_session_is_in_are_not_read(tmp_path: Path) -> None:
    await written(tmp_path, a_session("old"), an_answer(1, "reset", "old"), SessionEnded("old", "closed", 2.0))
    await written(tmp_path, a_session("open"), stop=False)
    (tmp_path / "00000001.journal").write_bytes((tmp_path / "00000001.journal").read_bytes()[:-40] + b"!" * 40)
    journal = opened(tmp_path)
    await journal.aclose()
    (tmp_path / "00000001.journal").write_bytes(b"these bytes are not looked at")
    assert files(tmp_path) == ["00000001.journal", "00000002.journal", "00000003.journal"]
    assert list(Journal.recover(tmp_path)) == ["open"]


async def test_entries_of_unknown_sessions_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await written(tmp_path, an_answer(1, session="x"), an_answer(2, session="x"), an_answer(1, session="y"))
    assert Journal.recover(tmp_path) == {}
    assert "entries of 2 sessions that it does not know" in caplog.text


async def test_an_empty_or_missing_directory_has_nothing_to_recover(tmp_path: Path) -> None:
    assert Journal.recover(tmp_path) == {}
    assert Journal.recover(tmp_path / "nowhere") == {}


async def test_memory_is_for_open_sessions_not_for_the_file(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    big = an_answer(3, reply=b'"' + b"x" * 100_000 + b'"')
    journal.append(a_session())
    for turn in range(300):  # 30 MB, in episodes of ten steps
        position = journal.append(an_answer(turn, "reset") if turn % 10 == 0 else big)
        await journal.written(position)
    await journal.aclose()
    tracemalloc.start()
    try:
        found = Journal.recover(tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found["s1"].replay) == 10
    assert peak < 6_000_000
