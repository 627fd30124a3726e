"""The kinds of values that JSON does not have: how each is read from its fields."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from openenv.errors import ConfigurationError, MissingExtra
from openenv.types.forms import TAG
from openenv.types.ndarrays import array_of

__all__ = ["BINARY", "KINDS", "Malformed", "value_of"]

BINARY = frozenset({"bytes", "ndarray", "scalar", "image"})
"""Kinds whose field ``data`` is bytes."""


class Malformed(ValueError):
    """The fields of a value do not fit its kind. Never leaves the library: it becomes an error about a frame."""


def value_of(kind: str, fields: dict[str, Any]) -> Any:
    """The value of a kind. A kind that is not known, or needs a library that is not there, stays a tagged object.

    Args:
        kind: One of ``KINDS``, or another.
        fields: The fields of the tagged object without its tag; values in them were read, ``data`` is bytes.

    Raises:
        Malformed: They do not fit the kind.
    """
    reader = KINDS.get(kind)
    if reader is None:
        return {TAG: kind, **fields}
    try:
        return reader(fields)
    except ImportError:
        return {TAG: kind, **fields, **({"data": bytes(fields["data"])} if "data" in fields else {})}
    except KeyError as error:
        raise Malformed(f"a value of kind {kind!r} needs {error}") from None
    except (TypeError, ValueError, ArithmeticError, MemoryError) as error:
        raise Malformed(f"a value of kind {kind!r} is malformed: {error}") from None


def _given(fields: dict[str, Any], name: str, kind: type[Any]) -> Any:
    value = fields[name]
    if not isinstance(value, kind):
        raise TypeError(f"{name} has to be {_SAID[kind]}")
    return value


_SAID: dict[type[Any], str] = {str: "text", bytes: "binary data", list: "an array"}


def _of_text(make: Callable[[str], Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda fields: make(_given(fields, "value", str))


def _of_items(make: Callable[[list[Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda fields: make(_given(fields, "items", list))


def _float(fields: dict[str, Any]) -> float:
    value = _given(fields, "value", str)
    if value not in ("nan", "inf", "-inf"):
        raise ValueError("value has to be nan, inf or -inf")
    return float(value)


def _int(text: str) -> int:
    if not text.removeprefix("-").isascii() or not text.removeprefix("-").isdigit():
        raise ValueError("value has to be decimal digits")
    return int(text)


def _complex(fields: dict[str, Any]) -> complex:
    match _given(fields, "value", list):
        case [int() | float() as real, int() | float() as imaginary]:
            return complex(real, imaginary)
    raise TypeError("value has to be two numbers")


def _timedelta(fields: dict[str, Any]) -> timedelta:
    match _given(fields, "value", list):
        case [int() as days, int() as seconds, int() as microseconds]:
            return timedelta(days, seconds, microseconds)
    raise TypeError("value has to be three integers")


def _map(items: list[Any]) -> dict[Any, Any]:
    if not all(isinstance(item, list) and len(item) == 2 for item in items):
        raise TypeError("items have to be pairs of key and value")
    return dict(items)


def _ndarray(fields: dict[str, Any]) -> Any:
    return array_of(fields["dtype"], fields["shape"], fields.get("data"), fields.get("items"))


def _scalar(fields: dict[str, Any]) -> Any:
    return array_of(fields["dtype"], [], fields.get("data"), fields.get("items"))[()]


def _image(fields: dict[str, Any]) -> Any:
    """For Pillow, or else a content block, or else the bytes of the file."""
    data = _given(fields, "data", bytes)
    if fields["format"] != "png":
        raise ValueError("the format has to be png")
    from openenv.types.pillow import image_of_file

    try:
        return image_of_file(data)
    except MissingExtra:
        pass
    except ConfigurationError as error:
        raise ValueError(error.message) from None
    try:
        from openenv.types.content import ImageContent
    except ImportError:
        return data
    return ImageContent(data=data, mime_type="image/png")


KINDS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "bytes": lambda fields: _given(fields, "data", bytes),
    "float": _float,
    "ndarray": _ndarray,
    "scalar": _scalar,
    "datetime": _of_text(datetime.fromisoformat),
    "date": _of_text(date.fromisoformat),
    "time": _of_text(time.fromisoformat),
    "timedelta": _timedelta,
    "uuid": _of_text(UUID),
    "decimal": _of_text(Decimal),
    "path": _of_text(Path),
    "complex": _complex,
    "int": _of_text(_int),
    "enum": lambda fields: fields["value"],
    "tuple": _of_items(tuple),
    "set": _of_items(set),
    "frozenset": _of_items(frozenset),
    "map": _of_items(_map),
    "image": _image,
}
"""How every kind is read."""
