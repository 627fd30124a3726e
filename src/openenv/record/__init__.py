"""The one form of an event, its store, and a server's journal: what happened in every episode of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv.lazy import on_first_use

if TYPE_CHECKING:
    from openenv.record.entries import (
        Answered,
        AnswerKind,
        Began,
        Entry,
        Position,
        SessionEnded,
        SessionOpened,
        Snapshotted,
        Stopped,
    )
    from openenv.record.events import EndStatus, Event, Kind, Run, RunStatus
    from openenv.record.export import export_jsonl, export_parquet
    from openenv.record.followed import journal_events
    from openenv.record.journal import Journal, JournalMode
    from openenv.record.journal_store import open_recorded
    from openenv.record.recovery import Kept, Recovered
    from openenv.record.store import EventStore
    from openenv.record.trajectory import EpisodeStatus, EpisodeSummary, Trajectory
    from openenv.record.writer import EventWriter

__all__ = [
    "AnswerKind",
    "Answered",
    "Began",
    "EndStatus",
    "Entry",
    "EpisodeStatus",
    "EpisodeSummary",
    "Event",
    "EventStore",
    "EventWriter",
    "Journal",
    "JournalMode",
    "Kept",
    "Kind",
    "Position",
    "Recovered",
    "Run",
    "RunStatus",
    "SessionEnded",
    "SessionOpened",
    "Snapshotted",
    "Stopped",
    "Trajectory",
    "export_jsonl",
    "export_parquet",
    "journal_events",
    "open_recorded",
]

# On first use: a server without a store has no need of SQLite.
_MODULES = {
    "AnswerKind": "entries",
    "Answered": "entries",
    "Began": "entries",
    "EndStatus": "events",
    "Entry": "entries",
    "EpisodeStatus": "trajectory",
    "EpisodeSummary": "trajectory",
    "Event": "events",
    "EventStore": "store",
    "EventWriter": "writer",
    "Journal": "journal",
    "JournalMode": "journal",
    "Kept": "recovery",
    "Kind": "events",
    "Position": "entries",
    "Recovered": "recovery",
    "Run": "events",
    "RunStatus": "events",
    "SessionEnded": "entries",
    "SessionOpened": "entries",
    "Snapshotted": "entries",
    "Stopped": "entries",
    "Trajectory": "trajectory",
    "export_jsonl": "export",
    "export_parquet": "export",
    "journal_events": "followed",
    "open_recorded": "journal_store",
}

__getattr__ = on_first_use(__name__, _MODULES)
