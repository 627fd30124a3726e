"""Which field of a request does not fit, told from the decoder's error."""

from __future__ import annotations

import re
from typing import Any

import msgspec

__all__ = ["fault"]

_PLACE = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")


def fault(error: msgspec.ValidationError) -> dict[str, Any]:
    """The error as one entry of ``details["errors"]``: ``loc`` (empty for the whole), ``msg`` and ``type``."""
    text = str(error)
    place = _PLACE.search(text)
    return {
        "loc": place["path"].split(".") if place and place["path"] else [],
        "msg": text[: place.start()] if place else text,
        "type": "invalid",
    }
