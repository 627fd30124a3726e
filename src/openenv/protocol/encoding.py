"""Authors' values as plain JSON, in one pass: models, containers and numpy arrays."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeGuard

from openenv.protocol.spliced import Spliced
from openenv.types.forms import EncodingFailed
from openenv.types.ndarrays import WHOLE_ARRAYS

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["UNENCODABLE", "EncodingFailed", "fields_beside", "is_model", "json_pieces", "to_json"]

UNENCODABLE = (EncodingFailed, TypeError, ValueError, OverflowError, RecursionError)
"""All that encoders raise for values that have no form."""

_BESIDE = {"reward", "done", "terminated", "truncated", "metadata"}
_beside_of: dict[type[Any], set[str]] = {}  # by observation class, worked out once


def to_json(value: Any, exclude: set[str] | None = None) -> bytes:
    """A value as JSON text. Arrays become nested lists; NaN and ±inf become null (``lossy`` tells which).

    Args:
        value: A pydantic model, or anything made of JSON values, models, dates, enums, UUIDs and numpy values.
        exclude: Fields of the model to leave out.

    Raises:
        EncodingFailed: Something in it has no JSON form; the message names the type.
    """
    return b"".join(json_pieces(value, exclude))


def json_pieces(value: Any, exclude: set[str] | None = None) -> list[bytes]:
    """``to_json`` in pieces: the first, and of the rest every second, may have null in it; the others are arrays."""
    arrays = Spliced()

    def apart(item: Any) -> Any:
        return arrays.stand_in(item) or _fallback(item)

    try:
        text = _written(value, exclude, apart)
        return arrays.pieces(text) or [_written(value, exclude, _fallback)]
    except (ValueError, TypeError, RecursionError) as error:  # all that pydantic raises for values without JSON form
        raise EncodingFailed(str(error)) from error


def _written(value: Any, exclude: set[str] | None, fallback: Callable[[Any], Any]) -> bytes:
    context = WHOLE_ARRAYS if "numpy" in sys.modules else None
    if is_model(value):
        return value.__pydantic_serializer__.to_json(
            value, exclude=exclude, fallback=fallback, warnings=False, context=context
        )
    import pydantic_core  # here: importing a client must not wait for it

    return pydantic_core.to_json(value, fallback=fallback, inf_nan_mode="null", context=context)


def is_model(value: Any) -> TypeGuard[BaseModel]:
    """Whether it is a pydantic model, told without importing pydantic: a client without types has no need of it."""
    return hasattr(type(value), "__pydantic_root_model__")


def fields_beside(observation_type: type[Any]) -> set[str]:
    """Fields of an observation that travel beside it, not in it.

    A class of older date may have a field ``terminated`` or ``truncated`` of its own, with a meaning of its own:
    what a class declares itself stays in the observation.
    """
    beside = _beside_of.get(observation_type)
    if beside is None:
        own = {
            name
            for owner in observation_type.__mro__
            if not owner.__module__.startswith("openenv.types.")
            for name in inspect.get_annotations(owner)
        }
        beside = _beside_of[observation_type] = _BESIDE - ({"terminated", "truncated"} & own)
    return beside


def _fallback(value: Any) -> Any:
    # numpy is not imported here; its arrays and scalars, and those of its kin, all know this method
    as_list = getattr(value, "tolist", None)
    if callable(as_list):
        return as_list()
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} has no JSON form")
