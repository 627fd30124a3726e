"""The JSON Schema of a model, also where a field has none, with the kinds of values that JSON does not have."""

from __future__ import annotations

import typing
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

__all__ = ["KIND", "json_schema"]

KIND = "x-openenv"
"""The key under which a schema tells the kind of a value: ``{"kind": "ndarray", "dtype": "<f4"}``."""

_FORMATS = {"path": "path", "file-path": "path", "directory-path": "path"}  # of texts that are kinds on the wire


class _Describing(GenerateJsonSchema):
    """A field whose type has no JSON Schema accepts anything; the rest of the model is still described."""

    def handle_invalid_for_json_schema(self, schema: CoreSchema, error_info: str) -> JsonSchemaValue:
        cls = schema.get("cls")
        bases = getattr(cls, "__mro__", ())
        is_image = any(base.__module__ == "PIL.Image" and base.__name__ == "Image" for base in bases)
        return {KIND: {"kind": "image"}} if is_image else {}

    def emit_warning(self, kind: Any, detail: str) -> None:
        pass

    def generate_inner(self, schema: Any) -> JsonSchemaValue:
        described = super().generate_inner(schema)
        kind = _KINDS.get(schema["type"]) or _FORMATS.get(described.get("format", ""))
        if kind is not None and KIND not in described and "$ref" not in described:
            described[KIND] = {"kind": kind}
        return described

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        described = super().dict_schema(schema)
        keys = schema.get("keys_schema")
        if keys is not None and keys["type"] not in ("any", "str"):
            described[KIND] = {"kind": "map", "keys": self.generate_inner(keys)}
        return described

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        return {**super().enum_schema(schema), KIND: {"kind": "enum"}}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        properties = described.get("properties", {})
        for name, field in getattr(schema["cls"], "model_fields", {}).items():
            dtypes = set(_dtypes(field.annotation))
            alias = field.validation_alias if isinstance(field.validation_alias, str) else name
            if len(dtypes) == 1:
                (dtype,) = dtypes
                for array in _arrays(properties.get(alias, {})):
                    array["dtype"] = dtype
        return described


_KINDS = {
    "bytes": "bytes",
    "date": "date",
    "time": "time",
    "datetime": "datetime",
    "timedelta": "timedelta",
    "uuid": "uuid",
    "decimal": "decimal",
    "complex": "complex",
    "set": "set",
    "frozenset": "frozenset",
    "tuple": "tuple",
}
"""Kinds of values on the wire, by the type of pydantic's core schema."""


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of what a model accepts as plain JSON.

    Where protocol v2 carries a value of a kind of its own, ``x-openenv`` tells the kind, such as
    ``{"kind": "ndarray", "dtype": "<f4"}``; the kinds are those of the reference of the wire.
    """
    return model.model_json_schema(schema_generator=_Describing)


def _dtypes(annotation: Any) -> typing.Iterator[str]:
    """The dtypes of the arrays in an annotation, such as that of ``NDArray[np.float32]``, as far as it tells them."""
    origin = typing.get_origin(annotation)
    if getattr(origin, "__module__", "") == "numpy" and getattr(origin, "__name__", "") == "ndarray":
        import numpy

        for scalar in typing.get_args(typing.get_args(annotation)[-1]):
            if scalar in numpy.sctypeDict.values() and (dtype := numpy.dtype(scalar)).itemsize > 0:
                yield dtype.str
        return
    for argument in typing.get_args(annotation):
        yield from _dtypes(argument)


def _arrays(schema: Any) -> typing.Iterator[dict[str, Any]]:
    """What is told of the arrays in a schema."""
    if isinstance(schema, dict):
        told = schema.get(KIND)
        if isinstance(told, dict) and told.get("kind") == "ndarray":
            yield told
        for value in schema.values():
            yield from _arrays(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _arrays(value)
