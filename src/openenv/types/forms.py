"""Values of Python as values that a wire format knows: one walk, whatever the format."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from openenv.errors import ConfigurationError
from openenv.types.ndarrays import ArrayParts, is_numpy, parts_of

__all__ = ["TAG", "EncodingFailed", "Form"]

TAG = "$openenv"
"""The key that tells the kind of a value that JSON does not have."""

_DEEPEST = 256
_LEAST, _MOST = -(2**63), 2**64 - 1  # what 64 bits hold, with a sign or without
_TEXT, _FLOAT, _INT = {str, bool, type(None)}, {float}, {int}


class EncodingFailed(Exception):
    """A value has no form on the wire. Never leaves the library: it becomes an error that a caller can act on."""


class Form(ABC):
    """How one format writes values. ``write`` gives what its encoder knows.

    Containers are copied, or given back as they are where everything in them is plain. A subclass says what becomes
    of the kinds that JSON does not have.
    """

    @abstractmethod
    def kind(self, kind: str, fields: dict[str, Any]) -> Any:
        """A value of a kind. ``fields`` were written already; binary data among them is ``bytes``."""

    @abstractmethod
    def array(self, parts: ArrayParts) -> Any:
        """An array whose items are bytes."""

    @abstractmethod
    def binary(self, data: bytes) -> Any:
        """Bytes."""

    @abstractmethod
    def not_finite(self, number: float) -> Any:
        """NaN or an infinity."""

    def long_integer(self, number: int) -> Any:
        """An integer that 64 bits do not hold."""
        return self.kind("int", {"value": _digits(number)})

    def write(self, value: Any, depth: int = _DEEPEST) -> Any:
        """A value of any type.

        Raises:
            EncodingFailed: Something in it has no form, or it is nested too deeply; the message names the type.
        """
        cls = type(value)
        if cls in _TEXT:
            return value
        if cls is float:
            return value if math.isfinite(value) else self.not_finite(value)
        if cls is int:
            return value if _LEAST <= value <= _MOST else self.long_integer(value)
        if depth == 0:
            raise EncodingFailed(f"it is nested in itself, or deeper than {_DEEPEST}")
        if cls is list:
            return value if self._is_plain(value) else [self.write(item, depth - 1) for item in value]
        if cls is dict:
            return _mapping(self, value, depth)
        writer = _writers.get(cls)
        if writer is None:
            writer = _writers[cls] = _writer_of(cls)
        return writer(self, value, depth)

    def fields(self, mapping: Mapping[Any, Any]) -> dict[str, Any]:
        """A mapping whose keys are names, such as metadata: other keys become text.

        Raises:
            EncodingFailed: A value in it has no form.
        """
        return {key if type(key) is str else str(key): self.write(item, _DEEPEST - 1) for key, item in mapping.items()}

    def model(self, value: Any, exclude: set[str] | None = None, depth: int = _DEEPEST) -> Any:
        """A pydantic model as it dumps itself, without some of its fields.

        A field that has a form in JSON alone, such as by a serializer of the author's, takes that.

        Raises:
            EncodingFailed: Something in it has no form.
        """
        dumped = _dumped(value, "python", exclude=exclude)
        try:
            return self.write(dumped, depth)
        except EncodingFailed:
            if not isinstance(dumped, dict):
                raise
        return {name: self._field(value, name, item, depth - 1) for name, item in dumped.items()}

    def _field(self, model: Any, name: str, value: Any, depth: int) -> Any:
        """A field of a model, as in JSON if only that has a form."""
        try:
            return self.write(value, depth)
        except EncodingFailed:
            try:
                (in_json,) = _dumped(model, "json", include={name}).values()
            except (EncodingFailed, ValueError):  # no form there either, or a name that is no field's
                pass
            else:
                return self.write(in_json, depth)
            raise

    def _is_plain(self, items: list[Any]) -> bool:
        """Whether a list can stay as it is, told without a walk in Python."""
        kinds = set(map(type, items))
        if kinds <= _TEXT:
            return True
        if kinds == _FLOAT:
            return all(map(math.isfinite, items))
        return kinds == _INT and min(items) >= _LEAST and max(items) <= _MOST


def _dumped(model: Any, mode: str, **fields: set[str] | None) -> Any:
    try:
        return model.__pydantic_serializer__.to_python(model, mode=mode, warnings=False, **fields)
    except (TypeError, ValueError, RecursionError) as error:  # what pydantic raises, for an author's mistake too
        raise EncodingFailed(str(error)) from error


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError as error:  # Python has a limit
        raise EncodingFailed(f"an integer of {value.bit_length()} bits is too long") from error


def _name(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


# Writers, one for each class of values beyond JSON ------------------------------------------------

_Writer = Callable[[Form, Any, int], Any]


def _mapping(form: Form, value: Mapping[Any, Any], depth: int) -> Any:
    if TAG not in value and all(type(key) is str for key in value):
        return {key: form.write(item, depth - 1) for key, item in value.items()}
    items = [[form.write(key, depth - 1), form.write(item, depth - 1)] for key, item in value.items()]
    return form.kind("map", {"items": items})


def _items(kind: str) -> _Writer:
    def write(form: Form, value: Any, depth: int) -> Any:
        return form.kind(kind, {"items": [form.write(item, depth - 1) for item in value]})

    return write


def _text(kind: str, text: Callable[[Any], str]) -> _Writer:
    return lambda form, value, _depth: form.kind(kind, {"value": text(value)})


def _enum(form: Form, value: Enum, depth: int) -> Any:
    return form.kind("enum", {"name": str(value), "value": form.write(value.value, depth - 1)})


def _complex(form: Form, value: complex, _depth: int) -> Any:
    return form.kind("complex", {"value": [form.write(value.real), form.write(value.imag)]})


def _timedelta(form: Form, value: timedelta, _depth: int) -> Any:
    return form.kind("timedelta", {"value": [value.days, value.seconds, value.microseconds]})


def _numpy(form: Form, value: Any, depth: int) -> Any:
    try:
        parts = parts_of(value)
    except TypeError as error:
        raise EncodingFailed(str(error)) from error
    is_array = not _is_scalar(type(value))
    fields: dict[str, Any] = {"dtype": parts.dtype}
    if is_array:
        fields["shape"] = parts.shape
        if parts.data is not None:
            return form.array(parts)
    if parts.data is not None:
        fields["data"] = bytes(parts.data)
    else:
        fields["items"] = [form.write(item, depth - 1) for item in parts.items or ()]
    return form.kind("ndarray" if is_array else "scalar", fields)


def _is_scalar(cls: type[Any]) -> bool:
    return any(base.__module__ == "numpy" and base.__name__ == "generic" for base in cls.__mro__)


def _image(form: Form, value: Any, _depth: int) -> Any:
    from openenv.types.pillow import file_of_image

    if value.mode not in _MODES_OF_PNG:
        raise EncodingFailed(f"an image of mode {value.mode} has no lossless PNG; use image.convert('RGB') or an array")
    try:
        return form.kind("image", {"format": "png", "data": file_of_image(value, "PNG")})
    except ConfigurationError as error:
        raise EncodingFailed(error.message) from error


_MODES_OF_PNG = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}


def _dataclass(form: Form, value: Any, depth: int) -> Any:
    return form.write({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, depth - 1)


def _array_like(form: Form, value: Any, depth: int) -> Any:
    """Tensors of other libraries: as arrays where that is cheap, else as lists."""
    if hasattr(type(value), "__array__"):
        try:
            return form.array(parts) if (parts := parts_of(value)).data is not None else _listed(form, value, depth)
        except (
            ImportError,
            TypeError,
            RuntimeError,
            ValueError,
        ):
            pass  # no numpy, or a tensor on a GPU, with a gradient or of a foreign dtype
    return _listed(form, value, depth)


def _listed(form: Form, value: Any, depth: int) -> Any:
    try:
        return form.write(value.tolist(), depth - 1)
    except (TypeError, RuntimeError, ValueError) as error:
        raise EncodingFailed(f"{_name(type(value))}: {error}") from error


def _as_json(form: Form, value: Any, depth: int) -> Any:
    """What pydantic knows to write in JSON, such as URLs."""
    try:
        import pydantic_core

        return form.write(pydantic_core.to_jsonable_python(value), depth - 1)
    except (ImportError, TypeError, ValueError, RecursionError) as error:
        raise EncodingFailed(f"{_name(type(value))} has no form on the wire") from error


_BASES: list[tuple[type[Any] | tuple[type[Any], ...], _Writer]] = [
    (Enum, _enum),
    (str, lambda form, value, depth: str.__str__(value)),
    (int, lambda form, value, depth: form.write(int(value), depth)),
    (float, lambda form, value, depth: form.write(float(value), depth)),
    (complex, _complex),
    ((bytes, bytearray, memoryview), lambda form, value, depth: form.binary(bytes(value))),
    (datetime, _text("datetime", datetime.isoformat)),
    (date, _text("date", date.isoformat)),
    (time, _text("time", time.isoformat)),
    (timedelta, _timedelta),
    (UUID, _text("uuid", str)),
    (Decimal, _text("decimal", str)),
    (PurePath, _text("path", str)),
    (tuple, _items("tuple")),
    (frozenset, _items("frozenset")),
    (Set, _items("set")),
    (Mapping, _mapping),
    ((list, deque), lambda form, value, depth: [form.write(item, depth - 1) for item in value]),
]
_writers: dict[type[Any], _Writer] = {}  # by class, worked out once


def _writer_of(cls: type[Any]) -> _Writer:
    if is_numpy(cls):  # first: some scalars of numpy are floats or texts as well
        return _numpy
    if dataclasses.is_dataclass(cls):
        return _dataclass
    if hasattr(cls, "__pydantic_root_model__"):
        return lambda form, value, depth: form.model(value, depth=depth - 1)
    for base, writer in _BASES:
        if issubclass(cls, base):
            return writer
    if any(base.__module__ == "PIL.Image" and base.__name__ == "Image" for base in cls.__mro__):
        return _image
    return _array_like if hasattr(cls, "tolist") else _as_json
