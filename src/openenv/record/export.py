"""Runs as files of other formats, one function a format."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO, TextIO

import msgspec
from msgspec import structs

from openenv.errors import MissingExtra
from openenv.record.events import Event
from openenv.record.payload import payload_text
from openenv.record.store import EventStore

__all__ = ["export_jsonl", "export_parquet"]

_FORMAT = "1"  # of the Parquet columns; rises when one changes its name, type or meaning
_GROUP_EVENTS = 16_384
_GROUP_CHARACTERS = 64 * 1024 * 1024
_INT64 = range(-(2**63), 2**63)


def export_jsonl(store: EventStore, run_id: str, out: TextIO) -> int:
    """Write a run as JSON lines, one event a line, without ever holding more than one of them.

    A line has the fields of ``Event`` in their order, with tagged objects, as on the wire, for values that JSON does
    not have. Lines come episode by episode, as from ``EventStore.events``.

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
        payload = {"request": _raw(event.request), "reply": _raw(event.reply)}
        out.write(msgspec.json.encode(structs.replace(event, **payload)).decode() + "\n")
        count += 1
    return count


def export_parquet(
    store: EventStore,
    run_id: str,
    out: BinaryIO,
    *,
    group_events: int = _GROUP_EVENTS,
    group_characters: int = _GROUP_CHARACTERS,
) -> int:
    """Write a run as Parquet, one row an event, without ever holding more than one row group of them.

    The columns are the same for every environment, with the same types:

    - ``run``, ``episode``, ``kind``: text, and ``index`` (int64): as in ``Event``.
    - ``at``, ``duration_s``: float64, in seconds.
    - ``request``, ``reply``: the JSON text of what ``Event`` has there, with tagged objects for what JSON does not
      have; nothing is missing from it.
    - ``reward`` (float64), ``done``, ``terminated``, ``truncated`` (bool): taken from the reply; null where the event
      has none.
    - ``seed`` (int64): that of the episode, in its first row; null in the others, and where it is beyond 64 bits, so
      that only the JSON holds it.
    - ``status``: text, in the row of an ``end``.

    The file's metadata holds the ``Run`` as JSON under ``openenv.run``, and the version of these columns under
    ``openenv.format``. The same run always gives the same bytes with the same version of pyarrow.

    Args:
        store: Where the run is.
        run_id: The whole id; ``EventStore.run`` finds it by its beginning.
        out: A binary file. It has no valid end, and readers refuse it, if this function raises.
        group_events: A row group ends when it has so many events,
        group_characters: or when their JSON has so many characters.

    Returns:
        Number of events.

    Raises:
        MissingExtra: pyarrow is not installed.
        RecordError: There is no such run, or it cannot be read.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("Parquet needs pyarrow; install it with: pip install 'openenv[parquet]'") from error

    groups = _groups(store.events(run_id), group_events, group_characters)
    group = next(groups, [])  # a run that is not there fails here, before anything is written
    about = {"openenv.format": _FORMAT, "openenv.run": msgspec.json.encode(store.run(run_id)).decode()}
    schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in _COLUMNS.items()], metadata=about)
    sink, count = _Sink(out), 0
    writer = pq.ParquetWriter(sink, schema, compression="zstd")
    try:
        while group:
            writer.write_table(pa.Table.from_pylist(group, schema=schema), row_group_size=len(group))
            count += len(group)
            group = next(groups, [])
    except BaseException:
        sink.is_open = False  # else closing the writer would make half a run look like a whole one
        raise
    finally:
        writer.close()
    return count


_COLUMNS = {
    "run": "string",
    "episode": "string",
    "index": "int64",
    "kind": "string",
    "at": "float64",
    "duration_s": "float64",
    "reward": "float64",
    "done": "bool_",
    "terminated": "bool_",
    "truncated": "bool_",
    "seed": "int64",
    "status": "string",
    "request": "string",
    "reply": "string",
}
"""The columns of a Parquet file, each with the name of its type in pyarrow."""


class _Sink(io.RawIOBase):
    """A file that is only written from its beginning on, so that a pipe will do."""

    def __init__(self, out: BinaryIO) -> None:
        super().__init__()
        self._out, self._written = out, 0
        self.is_open = True

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if self.is_open:
            self._out.write(data)
        self._written += size
        return size


def _groups(events: Iterator[Event], most_events: int, most_characters: int) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    size = 0
    for event in events:
        row = _row(event)
        rows.append(row)
        size += len(row["request"]) + len(row["reply"])
        if len(rows) >= most_events or size >= most_characters:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(payload_text(value).encode())


def _row(event: Event) -> dict[str, Any]:
    reply = event.reply if isinstance(event.reply, dict) else {}
    flags = {name: reply.get(name) for name in ("done", "terminated", "truncated")}
    return {
        "run": event.run,
        "episode": event.episode,
        "index": event.index,
        "kind": event.kind,
        "at": event.at,
        "duration_s": event.duration_s,
        "reward": event.reward,
        **{name: value if isinstance(value, bool) else None for name, value in flags.items()},
        "seed": event.seed if event.seed is not None and event.seed in _INT64 else None,
        "status": event.status,
        "request": payload_text(event.request),
        "reply": payload_text(event.reply),
    }
