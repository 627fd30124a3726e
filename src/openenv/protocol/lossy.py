"""What is sent where a value has no form: the rest of it, and a note of what is missing."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import json, msgpack, structs

from openenv.errors import ObservationInvalid
from openenv.protocol.encoding import EncodingFailed, fields_beside, is_model, to_json
from openenv.protocol.messages import Failed, Observed, Reply, StateIs
from openenv.types.forms import Form

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


def has_lost(value: Any) -> bool:
    """Whether anything in it is not a finite number."""
    return next(_non_finite(value, ""), None) is not None


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


def encodable_part(value: Any, depth: int = 32, form: Form | None = None) -> Any:
    """What of a value can be sent: parts that cannot are replaced by a note of their type.

    Args:
        value: Any value, cyclic ones included.
        depth: How deep to look for parts that can be sent.
        form: How it is sent; ``None``: as plain JSON, and the part is made of JSON values.
    """
    return _part(value, depth, (), _as_json if form is None else functools.partial(_as_it_is, form))


def _part(value: Any, depth: int, inside: tuple[int, ...], sendable: Callable[[Any], Any]) -> Any:
    if id(value) in inside:
        return _note(value)
    inside = (*inside, id(value))
    if is_model(value):
        value = _fields(value)
    if depth and isinstance(value, Mapping):
        return {_key(key, sendable): _part(item, depth - 1, inside, sendable) for key, item in value.items()}
    if depth and isinstance(value, list | tuple):
        parts = [_part(item, depth - 1, inside, sendable) for item in value]
        return tuple(parts) if isinstance(value, tuple) and sendable is not _as_json else parts
    try:
        return sendable(value)
    except (EncodingFailed, ValueError, RecursionError):  # the latter: it can be written, but is too deep to be read
        return _note(value)


def _key(key: Any, sendable: Callable[[Any], Any]) -> Any:
    if isinstance(key, str) or sendable is _as_json:
        return _text(key)
    try:
        return sendable(key)
    except (EncodingFailed, ValueError, RecursionError):
        return _text(key)


def _note(value: Any) -> str:
    return f"<{type(value).__qualname__}: no JSON form>"


def _as_json(value: Any) -> Any:
    return json.decode(to_json(value))


def _as_it_is(form: Form, value: Any) -> Any:
    """The value, if it can be written."""
    msgpack.encode(form.write(value))
    return value


def _text(value: Any) -> str:
    """A text that UTF-8 can carry: half a surrogate pair is written out."""
    return str(value).encode("utf-8", "backslashreplace").decode()


def observation_part(observation: Any, form: Form | None = None) -> Any:
    """What of an observation can be sent, without the fields that travel beside it; ``form`` as in the whole part."""
    part, beside = encodable_part(observation, form=form), fields_beside(type(observation))
    return {key: value for key, value in part.items() if key not in beside} if isinstance(part, dict) else part


def unencodable(reply: Reply, error: Exception, form: Form | None = None) -> Failed:
    """What is sent instead of a reply that cannot be sent: the error, and the part that can.

    Args:
        reply: What was to be sent.
        error: Why it cannot.
        form: How it is sent; ``None``: as plain JSON.
    """
    what, details = "the answer", {}
    match reply:
        case Failed():  # stays the error it is
            part = encodable_part(reply.details, form=form)
            return structs.replace(reply, message=_text(reply.message), details=part)
        case Observed():
            what = "the observation (the environment has moved)"
            details = {
                "observation": observation_part(reply.observation, form),
                "reward": encodable_part(reply.reward, form=form),
                "done": reply.done,
                "metadata": encodable_part(reply.metadata, form=form),
            }
        case StateIs():
            what, details = "the state", {"state": encodable_part(reply.state, form=form)}
    how = "as JSON" if form is None else "over the wire"
    message = _text(f"{what} cannot be sent {how}: {error}; use JSON types, models or arrays")
    return Failed(session=reply.session, id=reply.id, code=ObservationInvalid.code, message=message, details=details)
