"""numpy fields of models: read from lists and numbers, described in schemas; numpy itself is never imported here."""

from __future__ import annotations

import math
from typing import Any, cast

from pydantic_core import CoreSchema, core_schema

from openenv.types.ndarrays import WHOLE_ARRAYS

__all__ = ["with_arrays"]

_NO_SCHEMA = {"metadata", "default"}  # keys of a core schema that hold a user's values
_KINDS = {
    "ndarray": "array",
    "bool": "boolean",
    "bool_": "boolean",
    "integer": "integer",
    "number": "number",
    "str_": "string",
    "generic": "number",
}
"""JSON types of numpy classes; the first of a class's bases that stands here counts."""


def with_arrays(schema: CoreSchema) -> CoreSchema:
    """The schema with every numpy type in it made readable from JSON values.

    pydantic alone accepts a numpy field only as a numpy object. An ``ndarray`` becomes readable from (nested)
    lists, a scalar type such as ``np.float32`` from a number.
    """
    return cast(CoreSchema, _replace(schema))


def _replace(node: Any) -> Any:
    if isinstance(node, dict):
        if node.get("type") == "is-instance" and (kind := _kind(node["cls"])):
            return _readable(node["cls"], kind)
        return {key: value if key in _NO_SCHEMA else _replace(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_replace(item) for item in node]
    if isinstance(node, tuple):
        return tuple(_replace(item) for item in node)
    return node


def _kind(cls: Any) -> str:
    """The JSON type of a numpy array or scalar class; empty for any other class."""
    for base in getattr(cls, "__mro__", ()):
        if base.__module__ == "numpy" and base.__name__ in _KINDS:
            return _KINDS[base.__name__]
    return ""


def _readable(cls: type[Any], kind: str) -> CoreSchema:
    """A schema for a numpy type that also reads what JSON has instead of it."""

    def read(value: Any) -> Any:
        if isinstance(value, cls):
            return value
        try:
            return _array(value) if kind == "array" else _scalar(cls, value, kind)
        except (TypeError, OverflowError) as error:  # pydantic takes only ValueError for "this does not fit"
            raise ValueError(str(error)) from error

    def write(value: Any, info: Any) -> Any:
        return value if info.context is WHOLE_ARRAYS else value.tolist()

    described: dict[str, Any] = {"type": "array", "items": {}} if kind == "array" else {"type": kind}
    described["x-openenv"] = _told(cls, kind)
    return core_schema.no_info_before_validator_function(
        read,
        core_schema.is_instance_schema(cls),
        serialization=core_schema.plain_serializer_function_ser_schema(
            write, info_arg=True, when_used="json-unless-none"
        ),
        metadata={"pydantic_js_functions": [lambda _schema, _handler: dict(described)]},
    )


def _told(cls: type[Any], kind: str) -> dict[str, str]:
    """What protocol v2 makes of a numpy type: its kind, and its dtype where the class has one."""
    if kind == "array":
        return {"kind": "ndarray"}
    import numpy

    is_concrete = cls.__module__ == "numpy" and cls in numpy.sctypeDict.values() and numpy.dtype(cls).itemsize > 0
    return {"kind": "scalar", **({"dtype": numpy.dtype(cls).str} if is_concrete else {})}


def _array(value: Any) -> Any:
    """An array from (nested) lists or a number; null among numbers is NaN, which JSON cannot say."""
    import numpy

    if not isinstance(value, list | tuple | int | float):
        raise TypeError("an array is read from a list of numbers")
    array = numpy.asarray(value)
    return numpy.asarray(value, dtype=float) if array.dtype == object else array


def _scalar(cls: type[Any], value: Any, kind: str) -> Any:
    if value is None and kind == "number":
        value = math.nan  # as in arrays
    if not isinstance(value, str if kind == "string" else int | float):
        raise TypeError(f"a {cls.__name__} is read from a {kind}, not from {type(value).__name__}")
    read = cls(value)
    if kind in ("integer", "boolean") and read != value:
        raise ValueError(f"{value!r} is no {cls.__name__}")
    return read
