"""The one form of an event, and its store: what happened in every episode of a run."""

from openenv.record.events import EndStatus, Event, Kind, Run, RunStatus
from openenv.record.export import export_jsonl, export_parquet
from openenv.record.store import EventStore
from openenv.record.trajectory import EpisodeStatus, EpisodeSummary, Trajectory
from openenv.record.writer import EventWriter

__all__ = [
    "EndStatus",
    "EpisodeStatus",
    "EpisodeSummary",
    "Event",
    "EventStore",
    "EventWriter",
    "Kind",
    "Run",
    "RunStatus",
    "Trajectory",
    "export_jsonl",
    "export_parquet",
]
