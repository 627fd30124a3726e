"""Runs and events for the tests of the record."""

from __future__ import annotations

from typing import Any

from openenv.record import Event, Kind, Run


def a_run(id_: str = "run-1", **fields: Any) -> Run:
    return Run(**{"id": id_, "started_at": 100.0, "environment": "blackjack", "agent": "random", **fields})


def an_event(index: int = 0, kind: Kind | None = None, **fields: Any) -> Event:
    """A reset at index 0 and steps behind it, half a second long and one second apart."""
    kind = kind or ("reset" if index == 0 else "step")
    request, reply = {
        "reset": ({"seed": 7, "episode_id": None}, {"observation": {"hand": 12}, "reward": None, "done": False}),
        "step": ({"action": {"hit": True}}, {"observation": {"hand": 12 + index}, "reward": 0.5, "done": False}),
        "error": ({"action": {}}, {"code": "EXECUTION_ERROR", "message": "no cards", "details": {}}),
        "end": ({}, {"status": "done"}),
    }[kind]
    defaults = {
        "run": "run-1",
        "episode": "first",
        "index": index,
        "kind": kind,
        "at": 100.0 + index,
        "duration_s": 0.5,
        "request": request,
        "reply": reply,
    }
    return Event(**{**defaults, **fields})


def an_episode(episode: str = "first", run: str = "run-1", steps: int = 2) -> list[Event]:
    """A reset, some steps and an end."""
    events = [an_event(index, episode=episode, run=run) for index in range(steps + 1)]
    return [*events, an_event(steps + 1, "end", episode=episode, run=run)]
