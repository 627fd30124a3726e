"""Runs as files of other formats, one function a format."""

from __future__ import annotations

from typing import TextIO

import msgspec

from openenv.record.store import EventStore

__all__ = ["export_jsonl"]


def export_jsonl(store: EventStore, run_id: str, out: TextIO) -> int:
    """Write a run as JSON lines, one event a line, without ever holding more than one of them.

    A line has the fields of ``Event`` in their order. Lines come episode by episode, as from ``EventStore.events``.

    Args:
        store: Where the run is.
        run_id: The whole id; ``EventStore.run`` finds it by its beginning.
        out: A text file, in UTF-8; what its ``write`` raises goes to the caller.

    Returns:
        Number of events.

    Raises:
        RecordError: There is no such run, or it cannot be read.
    """
    count = 0
    for event in store.events(run_id):
        out.write(msgspec.json.encode(event).decode() + "\n")
        count += 1
    return count
