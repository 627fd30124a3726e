"""Authors' values as JSON: models, containers and numpy arrays, in one pass."""

from __future__ import annotations

from typing import Any

import pydantic_core
from pydantic import BaseModel

__all__ = ["BESIDE", "EncodingFailed", "to_json"]

BESIDE = {"reward", "done", "terminated", "truncated", "metadata"}
"""Fields of an Observation that travel beside it, not in it."""


class EncodingFailed(Exception):
    """A value has no JSON form. Never leaves this package: the codecs turn it into a reply."""


def to_json(value: Any, exclude: set[str] | None = None) -> bytes:
    """A value as JSON text. Arrays become nested lists; NaN and ±inf become null (``lossy`` tells which).

    Args:
        value: A pydantic model, or anything made of JSON values, models, dates, enums, UUIDs and numpy values.
        exclude: Fields of the model to leave out.

    Raises:
        EncodingFailed: Something in it has no JSON form; the message names the type.
    """
    try:
        if isinstance(value, BaseModel):
            return value.__pydantic_serializer__.to_json(value, exclude=exclude, fallback=_fallback, warnings=False)
        return pydantic_core.to_json(value, fallback=_fallback, inf_nan_mode="null")
    except (ValueError, TypeError, RecursionError) as error:  # all that pydantic raises for values without JSON form
        raise EncodingFailed(str(error)) from error


def _fallback(value: Any) -> Any:
    # numpy is not imported here; its arrays and scalars, and those of its kin, all know this method
    as_list = getattr(value, "tolist", None)
    if callable(as_list):
        return as_list()
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} has no JSON form")
