"""json_schema: a field without a JSON Schema does not cost the others theirs."""

from __future__ import annotations

import datetime
import enum
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from pydantic.errors import PydanticInvalidForJsonSchema

from openenv import Observation
from openenv.schema import json_schema


class Mixed(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    count: int
    lock: threading.Event
    call: Callable[[], int] | None = None
    odd: Any = object()


def test_the_rest_is_described() -> None:
    with pytest.raises(PydanticInvalidForJsonSchema):
        Mixed.model_json_schema()
    schema = json_schema(Mixed)
    assert schema["properties"]["count"]["type"] == "integer"
    assert set(schema["properties"]["lock"]) <= {"title"}
    assert schema["required"] == ["count", "lock"]
    assert "default" not in schema["properties"]["odd"]


class Colour(enum.Enum):
    RED = "r"


class Rich(Observation):
    frame: NDArray[np.float32]
    frames: list[NDArray[np.int8]] | None = None
    either: NDArray[np.int8] | NDArray[np.float64] | None = None
    words: NDArray[np.str_] | None = None
    level: np.int16
    raw: bytes
    at: datetime.datetime
    day: datetime.date
    hour: datetime.time
    span: datetime.timedelta
    who: UUID
    price: Decimal
    where: Path
    phase: complex
    seen: set[int]
    fixed: frozenset[int]
    pair: tuple[int, bytes]
    board: dict[tuple[int, int], str]
    plain: dict[str, int]
    colour: Colour
    picture: Image.Image | None = None
    aliased: NDArray[np.uint8] = Field(alias="other")


def test_kinds_that_json_lacks_are_told() -> None:
    schema = json_schema(Rich)
    told = {name: field.get("x-openenv") for name, field in schema["properties"].items()}
    assert told["frame"] == {"kind": "ndarray", "dtype": "<f4"}
    assert told["other"] == {"kind": "ndarray", "dtype": "|u1"}
    assert told["level"] == {"kind": "scalar", "dtype": "<i2"}
    kinds = {
        "raw": "bytes", "at": "datetime", "day": "date", "hour": "time", "span": "timedelta", "who": "uuid",
        "price": "decimal", "where": "path", "phase": "complex", "seen": "set", "fixed": "frozenset", "pair": "tuple",
    }  # fmt: skip
    assert {name: told[name] for name in kinds} == {name: {"kind": kind} for name, kind in kinds.items()}
    assert told["board"]["kind"] == "map"
    assert told["board"]["keys"]["prefixItems"] == [{"type": "integer"}] * 2
    assert schema["$defs"]["Colour"]["x-openenv"] == {"kind": "enum"}
    assert [told[name] for name in ("plain", "done", "metadata")] == [None] * 3


def test_kinds_inside_other_fields() -> None:
    fields = json_schema(Rich)["properties"]
    assert fields["frames"]["anyOf"][0]["items"]["x-openenv"] == {"kind": "ndarray", "dtype": "|i1"}
    assert [option.get("x-openenv") for option in fields["either"]["anyOf"]] == [{"kind": "ndarray"}, None]
    assert fields["words"]["anyOf"][0]["x-openenv"] == {"kind": "ndarray"}  # how long the texts are, only values tell
    assert fields["pair"]["prefixItems"][1]["x-openenv"] == {"kind": "bytes"}
    assert fields["picture"]["anyOf"][0]["x-openenv"] == {"kind": "image"}
