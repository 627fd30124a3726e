"""The JSON Schema of a model, also where a field has none."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema

__all__ = ["json_schema"]


class _Forgiving(GenerateJsonSchema):
    """A field whose type has no JSON Schema accepts anything; the rest of the model is still described."""

    def handle_invalid_for_json_schema(self, schema: CoreSchema, error_info: str) -> JsonSchemaValue:
        return {}

    def emit_warning(self, kind: Any, detail: str) -> None:
        pass


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of what a model accepts."""
    return model.model_json_schema(schema_generator=_Forgiving)
