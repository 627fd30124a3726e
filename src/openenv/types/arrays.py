"""numpy fields of models: read from lists and numbers, described in schemas; numpy itself is never imported here."""

from __future__ import annotations

from typing import Any, cast

from pydantic_core import CoreSchema, core_schema

__all__ = ["with_arrays"]


def with_arrays(schema: CoreSchema) -> CoreSchema:
    """The schema with every numpy type in it made readable from JSON values.

    pydantic alone accepts a numpy field only as a numpy object. An ``ndarray`` becomes readable from (nested)
    lists, a scalar type such as ``np.float32`` from a number.
    """
    return cast(CoreSchema, _replace(schema))


def _replace(node: Any) -> Any:
    if isinstance(node, dict):
        if node.get("type") == "is-instance" and getattr(node["cls"], "__module__", "").partition(".")[0] == "numpy":
            return _readable(node["cls"])
        return {key: value if key == "metadata" else _replace(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_replace(item) for item in node]
    if isinstance(node, tuple):
        return tuple(_replace(item) for item in node)
    return node


def _readable(cls: type[Any]) -> CoreSchema:
    """A schema for a numpy type that also reads what JSON has instead of it."""
    is_array = cls.__name__ == "ndarray"

    def read(value: Any) -> Any:
        if isinstance(value, cls):
            return value
        if not is_array:
            return cls(value)
        import numpy

        return numpy.asarray(value)

    described = {"type": "array", "items": {}} if is_array else {"type": "number"}
    return core_schema.no_info_before_validator_function(
        read,
        core_schema.is_instance_schema(cls),
        serialization=core_schema.plain_serializer_function_ser_schema(
            lambda value: value.tolist(), when_used="json-unless-none"
        ),
        metadata={"pydantic_js_functions": [lambda _schema, _handler: dict(described)]},
    )
