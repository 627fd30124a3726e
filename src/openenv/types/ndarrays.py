"""numpy arrays as dtype, shape and content, and back; numpy is imported when it is used."""

from __future__ import annotations

import math
import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

__all__ = ["WHOLE_ARRAYS", "ArrayParts", "array_of", "is_numpy", "parts_of"]

WHOLE_ARRAYS = {"openenv": "whole arrays"}
"""As context of a pydantic serializer: fields of arrays are not to become lists, its ``fallback`` takes them."""

# What ``dtype.str`` can be, and nothing else that numpy would read as a dtype.
_DTYPE = re.compile(r"[<>|=]?[?biufcSUVMmOT][0-9]{0,10}(\[[0-9]{0,9}[a-zA-Z]{1,2}(/[0-9]{1,9})?\])?")
_DEEPEST = 16
_LARGEST_OF_NONE = 1 << 16  # bytes an item may have where there are no items to prove it


class ArrayParts(NamedTuple):
    """An array taken apart.

    Attributes:
        dtype: ``dtype.str``, or the list ``dtype.descr`` (its tuples as lists) of a structured one.
        shape: Length of every axis.
        data: The items in C order, as they are in memory; ``None`` where they are Python objects.
        items: The same as Python objects, where they are some; ``None`` otherwise.
    """

    dtype: str | list[Any]
    shape: list[int]
    data: bytes | memoryview | None
    items: list[Any] | None


def is_numpy(cls: type[Any]) -> bool:
    """Whether it is a class of numpy arrays or scalars, told without importing numpy."""
    return any(base.__module__ == "numpy" and base.__name__ in ("ndarray", "generic") for base in cls.__mro__)


def parts_of(value: Any) -> ArrayParts:
    """The parts of an array, a numpy scalar (shape ``[]``), or what numpy reads as an array.

    Raises:
        TypeError: A masked array with masked items, or a dtype that is not one of numpy's own.
    """
    import numpy

    masked = sys.modules.get("numpy.ma")
    if masked is not None and masked.is_masked(value):
        raise TypeError("a masked array has no form on the wire; fill it: array.filled(...)")
    array = numpy.asarray(value)
    dtype, shape = array.dtype, list(array.shape)
    if dtype.kind == "T":
        return ArrayParts("T", shape, None, array.reshape(-1).tolist())
    if dtype.isbuiltin == 2 or (dtype.kind == "V" and not issubclass(dtype.type, numpy.void)):
        raise TypeError(f"an array of dtype {dtype.name} has no form on the wire; use one of numpy's own, or a list")
    if dtype.names is None:
        described: Any = dtype.str
    else:
        described, dtype = _described(dtype)
        array = array.astype(dtype, copy=False)
    if dtype.hasobject:
        return ArrayParts(described, shape, None, array.reshape(-1).tolist())
    if array.nbytes == 0:
        return ArrayParts(described, shape, b"", None)
    return ArrayParts(described, shape, numpy.ascontiguousarray(array).reshape(-1).view(numpy.uint8).data, None)


def array_of(dtype: Any, shape: Any, data: Any = None, items: Any = None) -> np.ndarray[Any, Any]:
    """The array of these parts: writable, and the owner of its memory.

    Args:
        dtype, shape: As in ``ArrayParts``.
        data: The items as bytes; or
        items: the items as Python objects, tuples or lists of fields where the dtype is structured.

    Raises:
        ValueError: They do not fit each other, or are no such parts.
        ImportError: There is no numpy.
    """
    import numpy

    kind = _dtype(dtype)
    if not (isinstance(shape, list) and all(type(length) is int and length >= 0 for length in shape)):
        raise ValueError("a shape is an array of integers from 0")
    count = math.prod(shape)
    if kind.hasobject:
        if not isinstance(items, list) or len(items) != count:
            raise ValueError(f"{count} items are needed for the shape {shape}")
        array = numpy.empty(shape, kind)
        flat = array.reshape(-1)  # a view
        for index, item in enumerate(items):  # one by one: an item may itself look like a list of items
            flat[index] = _structured(item, kind)
        return array
    size = memoryview(data).nbytes if isinstance(data, bytes | memoryview) else -1
    if size != count * kind.itemsize:
        raise ValueError(f"the shape {shape} of dtype {dtype} needs {count * kind.itemsize} bytes, not {max(size, 0)}")
    if size == 0:
        if kind.itemsize > _LARGEST_OF_NONE:
            raise ValueError(f"dtype {dtype} is too large for an array without items")
        return numpy.ndarray(shape, kind)
    return numpy.frombuffer(data, kind).reshape(shape).copy()


def _described(dtype: np.dtype[Any]) -> tuple[list[Any], np.dtype[Any]]:
    """The description of a structured dtype, and the dtype described: without gaps where they cannot be described."""
    import numpy

    try:
        return _listed(dtype.descr), dtype
    except ValueError:  # fields overlap or are out of order
        packed = numpy.dtype([(name, dtype[name]) for name in dtype.names or ()])
        return _listed(packed.descr), packed


def _listed(described: Any) -> Any:
    return [_listed(part) for part in described] if isinstance(described, list | tuple) else described


def _dtype(described: Any) -> np.dtype[Any]:
    from numpy.lib.format import descr_to_dtype

    try:
        return descr_to_dtype(_checked(described, 0))
    except (TypeError, KeyError, IndexError, OverflowError, SyntaxError) as error:
        raise ValueError(f"numpy has no such dtype: {error}") from None


def _checked(described: Any, depth: int) -> Any:
    """A description as numpy wants it, once it is nothing but one."""
    if isinstance(described, str):
        if not _DTYPE.fullmatch(described):
            raise ValueError(f"{described[:40]!r} is no dtype")
        return described
    if not isinstance(described, list) or depth > _DEEPEST:
        raise ValueError("a dtype is a text, or an array of fields")
    return [_field(field, depth) for field in described]


def _field(field: Any, depth: int) -> tuple[Any, ...]:
    match field:
        case [str() as name, kind]:
            return name, _checked(kind, depth + 1)
        case [str() as name, kind, list() as shape] if all(type(length) is int and length >= 0 for length in shape):
            return name, _checked(kind, depth + 1), tuple(shape)
        case [[str() as title, str() as name], *rest] if len(rest) in (1, 2):
            return ((title, name), *_field([name, *rest], depth)[1:])
    raise ValueError("a field of a dtype is an array of name, dtype and, if it has one, shape")


def _structured(item: Any, dtype: np.dtype[Any]) -> Any:
    """An item as numpy takes it: the fields of a structured one as a tuple."""
    if dtype.names is None:
        return item
    if not isinstance(item, list | tuple) or len(item) != len(dtype.names):
        raise ValueError(f"an item has the fields {', '.join(dtype.names)}")
    return tuple(_structured(part, dtype[name]) for part, name in zip(item, dtype.names, strict=True))
