"""Journals read as events, and as an event store."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from tests.unit.record.journals import a_session, an_answer, opened, written
from tests.unit.record.samples import a_run
from typer import Typer
from typer.testing import CliRunner

from openenv.cli.plot import plot
from openenv.cli.trajectories import trajectories
from openenv.errors import RecordError
from openenv.record import (
    Answered,
    Entry,
    Event,
    EventStore,
    SessionEnded,
    Snapshotted,
    Trajectory,
    export_jsonl,
    export_parquet,
    journal_events,
    open_recorded,
)

DONE = b'{"observation":{"hand":20},"reward":1.5,"done":true}'
PLAYED: list[Entry] = [
    a_session("a"),
    an_answer(1, "reset", "a"),
    a_session("b"),
    an_answer(2, "reset", "b", episode="e2"),
    an_answer(3, session="a"),
    an_answer(4, session="b", episode="e2"),
    an_answer(5, session="a", reply=DONE),
    Snapshotted("a", "e1", 1, b""),
    an_answer(6, "reset", "a", episode="e3"),
    an_answer(7, "error", "b", episode="e2"),
    an_answer(8, "close", "b", episode="e2"),
    SessionEnded("b", "closed", 9.0),
]


def told(events: Any) -> list[tuple[str, int, str]]:
    return [(event.episode, event.index, event.status or event.kind) for event in events]


async def test_events_come_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    await written(tmp_path, *PLAYED)
    events = list(journal_events(tmp_path))
    assert told(events) == [
        ("e1", 0, "reset"),
        ("e2", 0, "reset"),
        ("e1", 1, "step"),
        ("e2", 1, "step"),
        ("e1", 2, "step"),
        ("e1", 3, "done"),
        ("e3", 0, "reset"),
        ("e2", 2, "error"),
        ("e2", 3, "failed"),
    ]
    assert events[2] == Event(
        events[0].run,
        "e1",
        1,
        "step",
        3.0,
        0.25,
        {"action": {"move": 3}},
        {
            "observation": {"hand": 3},
            "reward": 0.5,
            "done": False,
            "terminated": False,
            "truncated": False,
            "metadata": {},
        },
    )
    assert events[7].reply == {"code": "EXECUTION_ERROR", "message": "no cards", "details": {}}


async def test_the_store_has_the_same_events_episode_by_episode(tmp_path: Path) -> None:
    await written(tmp_path, *PLAYED, segment_bytes=300)
    with open_recorded(tmp_path) as store:
        (run,) = store.runs()
        events = list(store.events(run.id))
        streamed = list(journal_events(tmp_path))
        assert {event.run for event in streamed} == {run.id}
        order = {name: number for number, name in enumerate(("e1", "e2", "e3"))}
        assert events == sorted(streamed, key=lambda event: (order[event.episode], event.index))
        assert told(store.events(run.id, "e2")) == [
            ("e2", 0, "reset"),
            ("e2", 1, "step"),
            ("e2", 2, "error"),
            ("e2", 3, "failed"),
        ]
        summaries = list(store.episodes(run.id))
    assert [(one.episode, one.length, one.return_, one.status, one.seed) for one in summaries] == [
        ("e1", 2, 2.0, "done", 7),
        ("e2", 1, 0.5, "failed", 7),
        ("e3", 0, 0.0, "running", 7),
    ]
    assert summaries[0].started_at == 1.0
    assert summaries[0].duration_s == 4.25


async def test_an_event_store_of_these_events_says_the_same(tmp_path: Path) -> None:
    await written(tmp_path / "journal", *PLAYED)
    with open_recorded(tmp_path / "journal") as journal, EventStore.open(tmp_path / "store", create=True) as store:
        (run,) = journal.runs()
        store.begin_run(run)
        store.append(journal_events(tmp_path / "journal"))
        assert store.runs() == journal.runs()
        assert list(store.events(run.id)) == list(journal.events(run.id))
        assert list(store.episodes(run.id)) == list(journal.episodes(run.id))
        files = []
        for source in (store, journal):
            lines, table = io.StringIO(), io.BytesIO()
            assert export_jsonl(source, run.id, lines) == export_parquet(source, run.id, table) == 9
            files.append((lines.getvalue(), table.getvalue()))
        assert files[0] == files[1]


async def test_frames_of_the_wire_become_events_without_their_envelope(tmp_path: Path) -> None:
    reset = Answered(
        "a",
        1,
        "",
        "reset",
        b'{"type":"reset","session":"a","id":1,"seed":3}',
        b'{"type":"observation","session":"a","id":1,"observation":{"x":{"$openenv":"float","value":"nan"}},'
        b'"seed":99,"episode_id":"E","metadata":{"level":2}}',
        1.0,
        0.5,
        "E",
    )
    step = Answered(
        "a",
        2,
        "",
        "step",
        b'{"type":"step","session":"a","id":2,"ack":1,"action":{"type":"hit","id":5},"timeout_s":2.0}',
        b'{"type":"observation","session":"a","id":2,"observation":1,"reward":2,"done":true,"truncated":true}',
        2.0,
        0.5,
        "E",
    )
    failed = Answered(
        "a", 3, "", "error", step.request, b'{"type":"error","id":3,"code":"X","message":"m"}', 3.0, 0.5, "E"
    )
    await written(tmp_path, a_session("a"), reset, step, failed)
    first, second, third, end = journal_events(tmp_path)
    assert math.isnan(first.reply["observation"].pop("x"))
    assert (first.seed, first.request) == (99, {"seed": 3})
    assert first.reply == {
        "observation": {},
        "reward": None,
        "done": False,
        "terminated": False,
        "truncated": False,
        "metadata": {"seed": 99, "episode_id": "E", "level": 2},
    }
    assert second.request == {"action": {"type": "hit", "id": 5}, "timeout_s": 2.0}
    assert (second.reward, second.reply["done"], second.reply["truncated"]) == (2.0, True, True)
    assert third.reply == {"code": "X", "message": "m"}
    assert end.status == "done"
    assert Trajectory.of([first, second, third, end]).actions == [{"type": "hit", "id": 5}]


async def test_an_episode_is_interrupted_by_a_reset_or_the_end_of_its_session(tmp_path: Path) -> None:
    entries = [
        an_answer(1, "reset"),
        an_answer(2),
        an_answer(3, "reset", episode="e2"),
        SessionEnded("s1", "idle", 4.0),
    ]
    await written(tmp_path, a_session(), *entries)
    assert told(journal_events(tmp_path)) == [
        ("e1", 0, "reset"),
        ("e1", 1, "step"),
        ("e1", 2, "interrupted"),
        ("e2", 0, "reset"),
        ("e2", 1, "interrupted"),
    ]


async def test_episodes_with_the_same_id_have_different_names(tmp_path: Path) -> None:
    entries = [an_answer(1, "reset", session, episode=name) for name in ("x", "", "x-2") for session in ("a", "b", "c")]
    await written(tmp_path, a_session("a"), a_session("b"), a_session("c"), *entries)
    with open_recorded(tmp_path) as store:
        names = [one.episode for one in store.episodes(store.runs()[0].id)]
    assert names[:6] == ["x", "x-2", "x-3", "episode", "episode-2", "episode-3"]
    assert len(set(names)) == 9
    assert {event.episode for event in journal_events(tmp_path)} == set(names)


async def test_an_episode_goes_on_after_the_server_was_started_again(tmp_path: Path) -> None:
    await written(tmp_path, a_session(), an_answer(1, "reset"), an_answer(2), stop=False)
    with open_recorded(tmp_path) as store:
        assert store.runs()[0].status == "running"
    await written(tmp_path, an_answer(3, reply=DONE))
    assert told(journal_events(tmp_path))[-2:] == [("e1", 2, "step"), ("e1", 3, "done")]
    with open_recorded(tmp_path) as store:
        assert [one.status for one in store.episodes(store.runs()[0].id)] == ["done"]


async def test_the_run_says_what_was_served(tmp_path: Path) -> None:
    await written(tmp_path / "named", a_session(name="echo"), environment="blackjack")
    await written(tmp_path / "unnamed", a_session(name="echo"))
    with open_recorded(tmp_path / "named") as named, open_recorded(tmp_path / "unnamed") as unnamed:
        (run,) = named.runs()
        assert (run.environment, run.agent, run.status) == ("blackjack", "clients", "complete")
        assert (run.started_at, run.ended_at) == (1000.0, 1000.0)
        assert set(run.versions) == {"openenv", "python"}
        assert unnamed.runs()[0].environment == "echo"


async def test_a_journal_can_be_read_while_its_server_writes(tmp_path: Path) -> None:
    await written(tmp_path, a_session())  # by an earlier server, which closed it in order
    journal = opened(tmp_path)
    with open_recorded(tmp_path) as store:
        await journal.written(journal.append(an_answer(1, "reset")))
        assert store.runs()[0].status == "running"
        assert told(store.events(store.runs()[0].id)) == [("e1", 0, "reset")]
    await journal.aclose()


async def test_a_journal_store_is_only_read(tmp_path: Path) -> None:
    await written(tmp_path, *PLAYED)
    store = open_recorded(tmp_path)
    run = store.runs()[0]
    for write in (
        lambda: store.begin_run(a_run()),
        lambda: store.end_run(run.id, "complete", 1.0),
        lambda: store.append([Event(run.id, "e9", 0, "reset", 0.0, 0.0, {}, {})]),
    ):
        with pytest.raises(RecordError, match="which is only read"):
            write()
    assert store.run(run.id[:3]) == run
    with pytest.raises(RecordError, match=r"no run 'zzz'.*its only one is"):
        store.run("zzz")
    for ask in (lambda: store.episodes(run.id[:3]), lambda: store.events("zzz")):
        with pytest.raises(RecordError, match="no run"):
            list(ask())
    with pytest.raises(RecordError, match="has no episode 'e9'"):
        list(store.events(run.id, "e9"))
    store.close()
    store.close()
    with pytest.raises(RecordError, match="was closed"):
        store.runs()


async def test_damaged_json_is_told(tmp_path: Path) -> None:
    await written(tmp_path, an_answer(1, "reset"), an_answer(2, reply=b"{not json"))
    with pytest.raises(RecordError, match="event 1 of episode 'e1' in the journal is damaged"):
        list(journal_events(tmp_path))


async def test_a_directory_is_opened_as_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no events in"):
        open_recorded(tmp_path / "nowhere")
    await written(tmp_path, *PLAYED)
    (tmp_path / "events.sqlite").touch()
    with pytest.raises(RecordError, match="an event store and a journal; move one of them"):
        open_recorded(tmp_path)
    with EventStore.open(tmp_path / "store", create=True), open_recorded(tmp_path / "store") as store:
        assert store.runs() == []


async def test_the_commands_read_a_journal_like_a_store(tmp_path: Path) -> None:
    await written(tmp_path, *PLAYED, environment="blackjack")

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(trajectories, [*arguments, "--store", str(tmp_path)])
        assert result.exit_code == 0, result.output
        return result.stdout

    listed = run("list")
    assert "blackjack" in listed
    assert "3, 1 failed" in listed
    shown = run("show")
    assert "episode e1" in shown
    assert "move: 3" in shown
    assert "no cards" in run("show", "--failed")
    assert [json.loads(line)["episode"] for line in run("export").splitlines()] == ["e1"] * 4 + ["e2"] * 4 + ["e3"]


async def test_journals_are_drawn_like_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr("openenv.rollout.plot.write_figures", lambda runs, *_: drawn.extend(runs) or [])
    await written(tmp_path, *PLAYED)
    app = Typer()
    app.command()(plot)
    result = CliRunner().invoke(app, ["--store", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert [(one.returns, one.lengths, one.left_out) for one in drawn] == [((2.0,), (2,), 2)]
