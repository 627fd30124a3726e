"""What is wrong with a request, told from the decoder's error."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from openenv.errors import InvalidJSON, InvalidRequest, RemoteProtocolError, UnknownType

__all__ = ["explained", "fault"]

_PLACE = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_KNOWN = ("close", "open", "reset", "resume", "state", "step")


class _Tag(msgspec.Struct):
    type: str
    session: str = ""
    id: int = 0


def fault(error: msgspec.ValidationError) -> dict[str, Any]:
    """The error as one entry of ``details["errors"]``: ``loc`` (empty for the whole), ``msg`` and ``type``."""
    text = str(error)
    place = _PLACE.search(text)
    return {
        "loc": place["path"].split(".") if place and place["path"] else [],
        "msg": text[: place.start()] if place else text,
        "type": "invalid",
    }


def explained(frame: str | bytes, error: msgspec.ValidationError, decode: Callable[..., Any]) -> RemoteProtocolError:
    """The error for a frame of v2 that can be decoded but is no request.

    Args:
        frame: The frame.
        error: What the decoder said of it as a request.
        decode: Decodes a frame of this form as a ``type``.
    """
    try:
        tag = decode(frame, type=_Tag)
    except msgspec.ValidationError as broken:
        if str(broken).startswith("Expected `object`") and _PLACE.search(str(broken)) is None:
            return InvalidJSON('a frame must be a JSON object, such as {"type": "state"}')
        return InvalidRequest(
            f"the frame needs a text 'type' and, if given, a text 'session' and integer 'id': {error}"
        )
    except (msgspec.DecodeError, UnicodeError, RecursionError) as broken:  # after the field that does not fit
        return InvalidJSON(f"the frame is not JSON: {broken}")
    address = {"session": tag.session, "id": tag.id}  # ``Failed.of`` answers there
    if tag.type not in _KNOWN:
        return UnknownType(f"unknown type {tag.type!r}; known are {', '.join(_KNOWN)}", details=address)
    return InvalidRequest(f"{tag.type}: {error}", details=address)
