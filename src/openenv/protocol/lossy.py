"""What is sent where a value has no JSON form: the rest of it, and a note of what is missing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import DecodeError, json, structs

from openenv.errors import ObservationInvalid
from openenv.protocol.encoding import EncodingFailed, fields_beside, is_model, to_json
from openenv.protocol.messages import Failed, Observed, Reply, StateIs

__all__ = ["encodable_part", "lost_values", "metadata_json", "observation_part", "unencodable"]


def metadata_json(reply: Observed, observation: bytes) -> bytes:
    """The metadata of a reply as JSON, with a warning for each value that became null on the way, at most eight.

    Args:
        reply: What is being sent.
        observation: Its observation as ``to_json`` made it, without the fields beside it.

    Raises:
        EncodingFailed: The metadata has no JSON form.
    """
    packed = to_json(reply.metadata) if reply.metadata else b"{}"
    lost = [
        *(_non_finite(_without_beside(reply.observation), "") if b"null" in observation else ()),
        *(_non_finite(reply.metadata, "metadata") if b"null" in packed else ()),
    ][:8]
    if not lost:
        return packed
    notes = [f"{path}: not a finite number, sent as null" for path in lost]
    own = reply.metadata.get("warnings", [])
    return to_json({**reply.metadata, "warnings": [*(own if isinstance(own, list) else [own]), *notes]})


def lost_values(value: Any, encoded: bytes) -> list[str]:
    """Paths of the values that became null in ``encoded`` because JSON has no NaN and no infinity."""
    return list(_non_finite(value, "")) if b"null" in encoded else []


def _without_beside(observation: Any) -> Any:
    if is_model(observation):
        return {
            name: value for name, value in _fields(observation).items() if name not in fields_beside(type(observation))
        }
    return observation


def _fields(model: Any) -> dict[str, Any]:
    return {**model.__dict__, **(model.model_extra or {})}


def _non_finite(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, float):
        if not math.isfinite(value):
            yield path or "."
    elif is_model(value):
        yield from _non_finite(_fields(value), path)
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
    return _part(value, depth, ())


def _part(value: Any, depth: int, inside: tuple[int, ...]) -> Any:
    note = f"<{type(value).__qualname__}: no JSON form>"
    if id(value) in inside:
        return note
    inside = (*inside, id(value))
    if is_model(value):
        value = _fields(value)
    if depth and isinstance(value, Mapping):
        return {_text(key): _part(item, depth - 1, inside) for key, item in value.items()}
    if depth and isinstance(value, list | tuple):
        return [_part(item, depth - 1, inside) for item in value]
    try:
        return json.decode(to_json(value))
    except (
        EncodingFailed,
        DecodeError,
        RecursionError,
    ):  # the latter two: it can be written, but is too deep to be read
        return note


def _text(value: Any) -> str:
    """A text that UTF-8 can carry: half a surrogate pair is written out."""
    return str(value).encode("utf-8", "backslashreplace").decode()


def observation_part(observation: Any) -> Any:
    """What of an observation has a JSON form, without the fields that travel beside it."""
    part, beside = encodable_part(observation), fields_beside(type(observation))
    return {key: value for key, value in part.items() if key not in beside} if isinstance(part, dict) else part


def unencodable(reply: Reply, error: Exception) -> Failed:
    """What is sent instead of a reply that has no JSON form: the error, and the part that has one."""
    what, details = "the answer", {}
    match reply:
        case Failed():  # stays the error it is
            return structs.replace(reply, message=_text(reply.message), details=encodable_part(reply.details))
        case Observed():
            what = "the observation (the environment has moved)"
            details = {
                "observation": observation_part(reply.observation),
                "reward": encodable_part(reply.reward),
                "done": reply.done,
                "metadata": encodable_part(reply.metadata),
            }
        case StateIs():
            what, details = "the state", {"state": encodable_part(reply.state)}
    message = _text(f"{what} cannot be sent as JSON: {error}; use JSON types, models or arrays")
    return Failed(session=reply.session, id=reply.id, code=ObservationInvalid.code, message=message, details=details)
