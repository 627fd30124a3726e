"""What is sent where a value has no JSON form: the rest of it, and a note of what is missing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic_core
from pydantic import BaseModel

from openenv.errors import ObservationInvalid
from openenv.protocol.encoding import BESIDE, EncodingFailed, to_json
from openenv.protocol.messages import Failed, Observed, Reply

__all__ = ["encodable_part", "lost_values", "observation_part", "unencodable", "with_warnings"]


def lost_values(value: Any, encoded: bytes) -> list[str]:
    """Paths of the values that became null because JSON has no NaN and no infinity, at most eight."""
    if b"null" not in encoded:
        return []
    found: list[str] = []
    for path in _non_finite(value, ""):
        found.append(path)
        if len(found) == 8:
            break
    return found


def _non_finite(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, float):
        if not math.isfinite(value):
            yield path or "."
    elif isinstance(value, BaseModel):
        yield from _non_finite({**value.__dict__, **(value.model_extra or {})}, path)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _non_finite(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple | set | frozenset):
        for index, item in enumerate(value):
            yield from _non_finite(item, f"{path}[{index}]")
    elif callable(as_list := getattr(value, "tolist", None)):
        yield from _non_finite(as_list(), path)


def encodable_part(value: Any, depth: int = 32) -> Any:
    """What of a value has a JSON form: parts that have none are replaced by a note of their type.

    Args:
        value: Any value, cyclic ones included.
        depth: How deep to look for encodable parts.
    """
    if isinstance(value, BaseModel):
        value = {**value.__dict__, **(value.model_extra or {})}
    if depth and isinstance(value, Mapping):
        return {str(key): encodable_part(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, list | tuple):
        return [encodable_part(item, depth - 1) for item in value]
    try:
        return pydantic_core.from_json(to_json(value))
    except EncodingFailed:
        return f"<{type(value).__qualname__}: no JSON form>"


def observation_part(observation: Any) -> Any:
    """What of an observation has a JSON form, without the fields that travel beside it."""
    part = encodable_part(observation)
    return {key: value for key, value in part.items() if key not in BESIDE} if isinstance(part, dict) else part


def with_warnings(metadata: dict[str, Any], lost: list[str]) -> dict[str, Any]:
    """Metadata that says which values became null on the way."""
    if not lost:
        return metadata
    notes = [f"{path}: not a finite number, sent as null" for path in lost]
    return {**metadata, "warnings": [*metadata.get("warnings", []), *notes]}


def unencodable(reply: Reply, error: Exception) -> Failed:
    """What is sent instead of a reply that has no JSON form: the error, and the part that has one."""
    details: dict[str, Any] = {}
    what = "the state"
    if isinstance(reply, Observed):
        what = "the observation (the step has counted)"
        details = {
            "observation": observation_part(reply.observation),
            "reward": reply.reward,
            "done": reply.done,
            "metadata": encodable_part(reply.metadata),
        }
    message = f"{what} cannot be sent as JSON: {error}; use JSON types, models or arrays"
    return Failed(
        session=reply.session, id=reply.id, code=ObservationInvalid.code, message=message, details=details
    )
