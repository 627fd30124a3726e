"""The event store keeps values that JSON does not have."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.unit.record.samples import a_run, an_event

from openenv.errors import RecordError
from openenv.record import EventStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore.open(tmp_path, create=True) as store:
        store.begin_run(a_run())
        yield store


def test_values_that_json_lacks_are_kept(store: EventStore) -> None:
    frame = np.arange(6, dtype=">i2").reshape(2, 3)
    observation = {"frame": frame, "nan": float("nan"), "raw": b"\xff", "board": {(0, 1): "x"}, "$openenv": 1}
    store.append([an_event(1, request={"action": {"at": (1, 2)}}, reply={"reward": float("inf"), "o": observation})])
    event = next(store.events("run-1"))
    assert event.request == {"action": {"at": (1, 2)}}
    assert event.reward is None
    assert event.reply["reward"] == float("inf")
    kept = event.reply["o"]
    assert math.isnan(kept.pop("nan"))
    assert np.array_equal(kept["frame"], frame)
    assert kept.pop("frame").dtype == frame.dtype
    assert kept == {"raw": b"\xff", "board": {(0, 1): "x"}, "$openenv": 1}


def test_a_store_of_before_there_were_tags_is_read_as_it_is(store: EventStore) -> None:
    store.append([an_event(1)])
    old = '{"observation":[null,1.5,{"a":"$"}],"long":1180591620717411303424}'
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE events SET reply = ?", (old,))
    connection.close()
    assert next(store.events("run-1")).reply == {"observation": [None, 1.5, {"a": "$"}], "long": 2**70}


@pytest.mark.parametrize(
    "damaged", ['{"a":{"$openenv":"uuid","value":"x"}}', '{"$openenv":5}', '{"$openenv":"bytes","data":"?"}']
)
def test_a_damaged_value_says_where(store: EventStore, damaged: str) -> None:
    store.append([an_event(1)])
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE events SET reply = ?", (damaged,))
    connection.close()
    with pytest.raises(RecordError, match=r"event 1 .* is damaged"):
        list(store.events("run-1"))
