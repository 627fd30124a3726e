"""json_schema: a field without a JSON Schema does not cost the others theirs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict
from pydantic.errors import PydanticInvalidForJsonSchema

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
