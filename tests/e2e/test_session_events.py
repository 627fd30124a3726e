"""The events of a session as a stream: those of before, those to come, each once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.guarded import REWARD, TOKENS, Guarded, Visit, guarded

from openenv.server import Role

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server() -> Iterator[Guarded]:
    with guarded() as one:
        yield one


def test_the_events_are_told_as_they_happen(server: Guarded) -> None:
    visit = Visit(server, server.url)
    try:
        with (
            server.client(TOKENS[Role.OBSERVER]) as observer,
            observer.stream("GET", f"/sessions/{visit.session['session_id']}/events") as stream,
        ):
            lines = stream.iter_lines()
            assert next(lines).startswith(":")  # it watches from now on
            named = visit.session["named"]
            visit.trainer.post("/reset", headers=named, json={"episode_id": "e1", "seed": 3})
            visit.trainer.post("/step", headers=named, json={"action": {"type": "call_tool", "tool_name": "up"}})
            visit.trainer.delete(f"/sessions/{visit.session['session_id']}")
            told = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]  # ends with the session
        assert [(one["kind"], one["index"], one["episode"]) for one in told] == [("reset", 0, "e1"), ("step", 1, "e1")]
        assert told[0]["request"] == {"seed": 3, "episode_id": "e1"}
        assert told[1]["request"]["action"]["tool_name"] == "up"
        assert told[1]["reply"]["reward"] == REWARD
        assert told[1]["reply"]["observation"]["result"]["structured_content"] == {"result": 1}
        assert (told[1]["reply"]["terminated"], told[1]["duration_s"] >= 0) == (False, True)
    finally:
        visit.close()


def test_the_events_of_before_come_from_the_journal_and_each_once(tmp_path: Path) -> None:
    with guarded(journal=tmp_path) as server:
        visit = Visit(server, server.url)
        events, named = f"/sessions/{visit.session['session_id']}/events", visit.session["named"]
        up = {"action": {"type": "call_tool", "tool_name": "up"}}
        visit.trainer.post("/reset", headers=named, json={"episode_id": "e1"})
        visit.trainer.post("/step", headers=named, json=up)
        with server.client(TOKENS[Role.GRADER]) as grader:
            text = grader.get(f"{events}?follow=0").text
            before = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
            assert [(one["episode"], one["index"], one["kind"]) for one in before] == [
                ("e1", 0, "reset"),
                ("e1", 1, "step"),
            ]
            with grader.stream("GET", events) as stream:
                lines = (line for line in stream.iter_lines() if line.startswith("data: "))
                again = [json.loads(next(lines)[6:]) for _ in range(2)]
                visit.trainer.post("/step", headers=named, json=up)
                visit.close()
                later = [json.loads(line[6:]) for line in lines]
        assert again == before
        (step,) = later
        assert (step["index"], step["reply"]["reward"], step["request"]["action"]) == (2, REWARD, up["action"])
        assert step.keys() == before[1].keys()
        assert step["reply"].keys() == before[1]["reply"].keys()
        assert before[1]["request"]["action"] == up["action"]


def test_who_only_looks_does_not_wait_for_events(server: Guarded) -> None:
    visit = Visit(server, server.url)
    try:
        with server.client(TOKENS[Role.OBSERVER]) as observer:
            answer = observer.get(f"/sessions/{visit.session['session_id']}/events?follow=0")
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.text.startswith(": ")
    finally:
        visit.close()
