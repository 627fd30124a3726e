"""The one form of an event, its store, and a server's journal: what happened in every episode of a run."""

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
from openenv.record.journal import Journal, JournalMode
from openenv.record.journal_events import journal_events
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
